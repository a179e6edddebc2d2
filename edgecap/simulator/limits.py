"""The general rate limit: 1200 calls in five minutes per user, 200 a second per address."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from datetime import datetime, timedelta

from edgecap.simulator.envelope import Refused
from edgecap.simulator.variants import Variant

QUOTA = 1200
WINDOW = timedelta(minutes=5)
PENALTY = timedelta(minutes=5)  # "then 429 for five minutes"
PER_SECOND = 200


class RequestLimit:
    """Counts calls, on the simulator's clock.

    Args:
        variant: how calls beyond the limit are refused.
    """

    def __init__(self, variant: Variant) -> None:
        self._variant = variant
        self._lock = threading.Lock()
        self._calls: dict[str, deque[datetime]] = defaultdict(deque)
        self._second: dict[str, deque[datetime]] = defaultdict(deque)
        self._closed_until: dict[str, datetime] = {}

    def __repr__(self) -> str:
        return f"<RequestLimit [{len(self._calls)} users, {len(self._closed_until)} closed out]>"

    def count(self, user: str, address: str, now: datetime) -> dict[str, str]:
        """Count a call; returns headers with the remaining calls.

        Raises:
            Refused: 429; the limit is exceeded.
        """
        with self._lock:
            second = _since(self._second[address], now - timedelta(seconds=1))
            if len(second) >= PER_SECOND:
                raise Refused.by(self._variant.throttle, wait=1)
            second.append(now)
            calls = _since(self._calls[user], now - WINDOW)
            closed = self._closed_until.get(user)
            if closed is None and len(calls) >= QUOTA:
                closed = self._closed_until[user] = now + PENALTY
            if closed is not None and now < closed:
                refused = Refused.by(self._variant.throttle, wait=(closed - now).total_seconds())
                refused.headers = {**refused.headers, **_headers(0, closed - now)}
                raise refused
            self._closed_until.pop(user, None)
            calls.append(now)
            return _headers(QUOTA - len(calls), calls[0] + WINDOW - now)


def _since(calls: deque[datetime], start: datetime) -> deque[datetime]:
    while calls and calls[0] <= start:
        calls.popleft()
    return calls


def _headers(remaining: int, reset: timedelta) -> dict[str, str]:
    return {
        "Ratelimit": f'"default";r={remaining};t={max(1, int(reset.total_seconds()))}',
        "Ratelimit-Policy": f'"default";q={QUOTA};w={int(WINDOW.total_seconds())}',
    }
