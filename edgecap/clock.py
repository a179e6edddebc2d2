"""Clocks: one of this machine that never jumps, and the API's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta


def seconds_since_boot() -> float:
    """Seconds that never jump, and that go on while the machine is suspended."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)  # Linux's: its `time.monotonic` stands still then
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(frozen=True, slots=True)
class ServerClock:
    """The API's clock. A simulator's may run faster than ours: a span of its time takes less here.

    Attributes:
        now: tells the server's time, aware, UTC.
        speed: how many of its seconds go by in one of ours.
    """

    now: Callable[[], datetime]
    speed: float = 1.0

    def until(self, moment: datetime) -> timedelta:
        """How long it takes here until the clock shows `moment`; negative if it has shown it already."""
        return self.here(moment - self.now())

    def here(self, span: timedelta) -> timedelta:
        """How long `span` of the server's time takes here."""
        return span / self.speed

    def there(self, span: timedelta) -> timedelta:
        """How far the server's clock goes on during `span` here."""
        return span * self.speed
