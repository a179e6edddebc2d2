"""The simulator's clock: real time, or faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from edgecap.errors import ConfigError


class Clock:
    """The simulator's time, aware and in UTC.

    Args:
        speed: simulated seconds per real second; at 60, a minute takes a second.
        start: the simulated time at the start; by default now.
        source: a monotonic count of real seconds. Tests pass one that they control.

    Raises:
        ConfigError: the speed is not above 0.
    """

    def __init__(
        self,
        speed: float = 1.0,
        *,
        start: datetime | None = None,
        source: Callable[[], float] = time.monotonic,
    ) -> None:
        if not speed > 0:
            raise ConfigError(f"the clock cannot run at speed {speed:g}", where="speed", hint="give above 0")
        self.speed = speed
        self._start = start or datetime.now(UTC)
        self._source = source
        self._zero = source()

    def __repr__(self) -> str:
        return f"<Clock {self.now():%Y-%m-%dT%H:%M:%SZ} [{self.speed:g} x]>"

    def now(self) -> datetime:
        """The simulator's time."""
        return self._start + timedelta(seconds=(self._source() - self._zero) * self.speed)

    def real_seconds(self, simulated: float) -> float:
        """The real duration of `simulated` seconds."""
        return simulated / self.speed
