"""The clock and the log of a case's edge: somebody sets the one, and somebody reads along in the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from edgecap.simulator.clock import Clock
from edgecap.simulator.log import EdgeLog


class WatchedLog(EdgeLog):
    """The edge's log, and somebody who reads each line before the answer that it is about has left."""

    watcher: Callable[[dict[str, Any]], None] | None = None

    def write(self, event: str, **fields: Any) -> None:
        """Record an event, then show it."""
        super().write(event, **fields)
        if self.watcher:
            self.watcher({"event": event, **fields})


class JumpingClock(Clock):
    """The edge's clock, and somebody who sets it."""

    _jumped = timedelta()
    _stopped_at: datetime | None = None

    def now(self) -> datetime:
        """The simulator's time."""
        return self._stopped_at or super().now() + self._jumped

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """No time goes by meanwhile."""
        self._stopped_at = stopped_at = self.now()
        try:
            yield
        finally:
            self._stopped_at = None
            self._jumped += stopped_at - self.now()

    def jump(self, seconds: float) -> None:
        """Set it forwards, or back."""
        self._jumped += timedelta(seconds=seconds)
