"""Waiting for a program on a machine of any speed: as long as it gets on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BUSY = 0.05  # of one processor; a program that uses less, and writes nothing to its log, does not get on
LONGEST = 20  # windows; a program may only seem to get on
TELL_EVERY = 30.0  # seconds

_PGRP, _USER, _SYSTEM = 2, 11, 12  # of a process: the fields after the name's bracket, see proc(5)


@dataclass(frozen=True, slots=True)
class Signs:
    """What a program has done so far.

    Attributes:
        written: bytes of its log.
        worked: seconds of processor time, of its whole process group.
    """

    written: int
    worked: float


def signs_of(pid: int, log: Path) -> Signs:
    """The signs of life of a process group and its log."""
    try:
        written = log.stat().st_size
    except OSError:
        written = 0
    ticks = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                ticks += (int(fields[_USER]) + int(fields[_SYSTEM])) * (int(fields[_PGRP]) == pid)
            except (OSError, IndexError, ValueError):
                continue  # it ended meanwhile
    return Signs(written, ticks / os.sysconf("SC_CLK_TCK"))


class Patience:
    """Tells when a program that is waited for does not get on any more.

    Args:
        signs: what the program has done so far.
        window: seconds in which it must have done something.
        tell: called with a line now and then, while it goes on.
        clock: seconds, from any start.
    """

    def __init__(
        self,
        signs: Callable[[], Signs],
        window: float,
        tell: Callable[[str], None] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._signs = signs
        self._window = window
        self._tell = tell
        self._clock = clock
        self._began = self._since = self._told = clock()
        self._seen = signs()

    def __repr__(self) -> str:
        return f"<Patience [{self._clock() - self._began:.0f} s, {self._seen}]>"

    def is_over(self) -> bool:
        """Whether it has done nothing for a window, or has been waited for beyond all measure."""
        now = self._clock()
        if self._tell and now - self._told >= TELL_EVERY:
            self._told = now
            worked = self._signs().worked
            self._tell(f"is at work: {now - self._began:.0f} s so far, {worked:.0f} s of processor time")
        if now - self._since < self._window:
            return False
        before, self._seen, self._since = self._seen, self._signs(), now
        gets_on = (
            self._seen.written > before.written or self._seen.worked - before.worked >= BUSY * self._window
        )
        return not gets_on or now - self._began > LONGEST * self._window
