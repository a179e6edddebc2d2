"""Telling a slow program from one that stands still, on a machine of any speed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BUSY = 0.05  # of one processor; a program that uses less and writes nothing to its log stands still
LONGEST = 20  # windows; a program may be busy for nothing
TELL_EVERY = 30.0  # seconds

_PGRP, _USER, _SYSTEM = 2, 11, 12  # of a process: the fields after the name's bracket, see proc(5)


@dataclass(frozen=True, slots=True)
class Activity:
    """What a program has done so far.

    Attributes:
        written: bytes of its log.
        worked: seconds of processor time, of its whole process group and its forks'.
    """

    written: int
    worked: float


def activity_of(pid: int, log: Path) -> Activity:
    """The activity of a process group and its log."""
    try:
        written = log.stat().st_size
    except OSError:
        written = 0
    groups, ticks = {pid, *_forks_of(pid)}, 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                ticks += (int(fields[_USER]) + int(fields[_SYSTEM])) * (int(fields[_PGRP]) in groups)
            except (OSError, IndexError, ValueError):
                continue  # it ended meanwhile
    return Activity(written, ticks / os.sysconf("SC_CLK_TCK"))


def _forks_of(pid: int) -> set[int]:
    """The processes for which a program stands (`deployments.run`): it holds a descriptor of each."""
    found = set()
    with suppress(OSError):  # it ended meanwhile
        for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
            for line in entry.read_text().splitlines():
                if line.startswith("Pid:") and (fork := int(line.split()[1])) > 0:  # -1: it has ended
                    found.add(fork)
    return found


class StallDetector:
    """Tells when a program that is waited for stands still.

    Args:
        activity: what the program has done so far.
        window: seconds in which it must have done something.
        tell: called with a line now and then, while the program works.
        clock: seconds, from any start.
    """

    def __init__(
        self,
        activity: Callable[[], Activity],
        window: float,
        tell: Callable[[str], None] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._activity = activity
        self._window = window
        self._tell = tell
        self._clock = clock
        self._began = self._since = self._told = clock()
        self._seen = activity()

    def __repr__(self) -> str:
        return f"<StallDetector [{self._clock() - self._began:.0f} s, {self._seen}]>"

    def is_stalled(self) -> bool:
        """Whether it did nothing for a window, or has taken `LONGEST` windows."""
        now = self._clock()
        if self._tell and now - self._told >= TELL_EVERY:
            self._told = now
            worked = self._activity().worked
            self._tell(f"is at work: {now - self._began:.0f} s so far, {worked:.0f} s of processor time")
        if now - self._since < self._window:
            return False
        before, self._seen, self._since = self._seen, self._activity(), now
        works = (
            self._seen.written > before.written or self._seen.worked - before.worked >= BUSY * self._window
        )
        return not works or now - self._began > LONGEST * self._window
