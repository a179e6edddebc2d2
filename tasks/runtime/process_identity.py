"""Which process works on something, and whether it still lives. Only its own machine can tell for sure."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_START_TIME = 19  # of a process, in clock ticks since boot: the field after the name's bracket, see proc(5)


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process, unmistakably: an id alone is given out again.

    Attributes:
        machine: where it runs: the kernel's boot, its process name space and the host's name.
        pid: its id there.
        started: when it started, in clock ticks since the machine did.
    """

    machine: str
    pid: int
    started: int

    def __str__(self) -> str:
        return f"{self.machine}:{self.pid}:{self.started}"

    @classmethod
    def parse(cls, text: str) -> ProcessMark | None:
        """The mark that `str` wrote; None for any other text."""
        try:
            machine, pid, started = text.rsplit(":", 2)
            return cls(machine, int(pid), int(started))
        except ValueError:
            return None


def this_process() -> ProcessMark:
    """The mark of this process; `machine` is empty on a system without /proc."""
    return ProcessMark(_machine(), os.getpid(), _started(os.getpid()) or 0)


def is_gone(mark: ProcessMark) -> bool | None:
    """Whether the process has ended; None if it ran on another machine, so that this one cannot tell."""
    if not mark.machine or mark.machine != _machine():
        return None
    return _started(mark.pid) != mark.started


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        name_space = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        return ""
    return f"{socket.gethostname()}/{boot}/{name_space}"


def _started(pid: int) -> int | None:
    """When a process started; None if it has ended, even if its parent has not yet read its exit code."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[_START_TIME])
    except (OSError, ValueError, IndexError):
        return None
