"""Keeping programs running: one that ends is restarted, after a growing pause if it keeps ending."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deployments.local.processes import Program
from edgecap.errors import SetupError

LOOK = 0.5  # seconds between two looks
FIRST, MOST = 1.0, 60.0  # seconds before a program that ended is restarted, doubling
HEALTHY = 60.0  # seconds after which the pause begins anew at `FIRST`


@dataclass
class _Life:
    """A program's last start, when its restart is due if it ended, and the pause after its next end."""

    started: float
    pause: float = FIRST
    due: float | None = None


class Watch:
    """Watches programs that were started.

    Args:
        programs: those that should run.
        say: called with one line for each event.
        sleep: waits the given number of seconds.
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
        """Look twice a second, until an exception such as KeyboardInterrupt."""
        while True:
            self.look()
            self._sleep(LOOK)

    def look(self) -> None:
        """Look at every program once: report an end, and restart what is due."""
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
        cause = program.cause_of_end()
        told = "; ".join(filter(None, (cause.what, cause.hint))) or "without output"
        self._say(f"{program.name} ended ({told}); again in {life.pause:.0f} s. Log: {program.log}")
        life.pause = min(MOST, life.pause * 2)

    def _start(self, program: Program, life: _Life) -> None:
        program.stop()  # the rest of its process group
        try:
            program.start()
        except SetupError as error:
            self._say(str(error))
            life.due = self._clock() + life.pause
            return
        life.started, life.due = self._clock(), None
        self._say(f"{program.name} started again")
