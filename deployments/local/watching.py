"""Keeping programs running: one that ends is started again, ever later if it keeps on ending."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deployments.local.processes import Program
from edgecap.errors import SetupError

LOOK = 0.5  # seconds between two looks
FIRST, MOST = 1.0, 60.0  # seconds before a program that ended is started again, doubling
HEALTHY = 60.0  # seconds that a program must run for its end to be a surprise again


@dataclass
class _Life:
    """When a program was started last, when it is due again if it ended, and the pause after its next end."""

    started: float
    pause: float = FIRST
    due: float | None = None


class Watch:
    """Watches programs that were started.

    Args:
        programs: what should be running.
        say: called with one line for each event.
        sleep: waits so many seconds.
        clock: seconds, from any start.
    """

    def __init__(
        self,
        programs: Iterable[Program],
        say: Callable[[str], None],
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._sleep = sleep
        self._clock = clock
        self._lives = [(program, _Life(clock())) for program in programs]

    def __repr__(self) -> str:
        return f"<Watch [{', '.join(repr(program) for program, _ in self._lives)}]>"

    def forever(self) -> None:
        """Look twice a second; ends only by an exception such as KeyboardInterrupt."""
        while True:
            self.look()
            self._sleep(LOOK)

    def look(self) -> None:
        """One look at every program: notice an end, and start again what is due."""
        for program, life in self._lives:
            if program.running:
                continue
            if life.due is None:
                self._ended(program, life)
            elif self._clock() >= life.due:
                self._start(program, life)

    def _ended(self, program: Program, life: _Life) -> None:
        if self._clock() - life.started >= HEALTHY:
            life.pause = FIRST
        life.due = self._clock() + life.pause
        last = program.last_line() or "it said nothing"
        self._say(f"{program.name} ended ({last}); again in {life.pause:.0f} s. Log: {program.log}")
        life.pause = min(MOST, life.pause * 2)

    def _start(self, program: Program, life: _Life) -> None:
        program.stop()  # what it may have left of its process group
        try:
            program.start()
        except SetupError as error:
            self._say(str(error))
            life.due = self._clock() + life.pause
            return
        life.started, life.due = self._clock(), None
        self._say(f"{program.name} started again")
