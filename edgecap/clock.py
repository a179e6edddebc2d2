"""Two clocks: this machine's, which never jumps, and the API's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta


def seconds_since_boot() -> float:
    """Seconds that never jump, and that continue while the machine is suspended."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)  # on Linux, `time.monotonic` stops during suspension
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(frozen=True, slots=True)
class ServerClock:
    """The API's clock. A simulator's may run faster than this machine's.

    Attributes:
        now: returns the server's time, aware, UTC.
        speed: server seconds per second here.
    """

    now: Callable[[], datetime]
    speed: float = 1.0

    def until(self, moment: datetime) -> timedelta:
        """The time here until the clock shows `moment`; negative if that has passed."""
        return self.here(moment - self.now())

    def until_shown(self, moment: datetime) -> timedelta:
        """The time here until an answer's `Date`, which has whole seconds, shows `moment` or a later time."""
        shown = moment.replace(microsecond=0)
        return self.until(shown if shown == moment else shown + timedelta(seconds=1))

    def here(self, span: timedelta) -> timedelta:
        """The time here in which `span` passes on the server."""
        return span / self.speed

    def there(self, span: timedelta) -> timedelta:
        """The time that passes on the server during `span` here."""
        return span * self.speed
