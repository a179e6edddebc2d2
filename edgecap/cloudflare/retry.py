"""When a call that changes nothing is made again: full-jitter exponential back-off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from edgecap.errors import ApiError, NetworkFailure, RateLimited, ServerFailure

_T = TypeVar("_T")
RETRIED = (NetworkFailure, RateLimited, ServerFailure)  # what may be gone the next time


class Random(Protocol):
    """What back-off needs of `random` or of a `random.Random`."""

    def uniform(self, a: float, b: float, /) -> float:
        """A number between `a` and `b`."""
        ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often and how patiently to try again. All times in seconds.

    Attributes:
        attempts: calls at most, the first included.
        first: the first wait is between 0 and this; each further one up to twice as much.
        most: no wait is longer, except for what the server asks for.
        patience: a server that asks for a longer wait than this gets none; the caller decides.
    """

    attempts: int = 4
    first: float = 0.5
    most: float = 8.0
    patience: float = 60.0

    def wait(self, tried: int, error: ApiError, *, now: datetime, rng: Random) -> float | None:
        """Seconds to wait after `tried` calls of which the last ended with `error`; None to give up."""
        if tried >= self.attempts or error.permanent or not isinstance(error, RETRIED):
            return None
        jitter = rng.uniform(0.0, min(self.most, self.first * 2.0 ** (tried - 1)))
        if error.retry_at is None:
            return jitter
        asked = (error.retry_at - now).total_seconds()
        # On top of what was asked for, so that many clients told the same second do not come back in it.
        return None if asked > self.patience else max(asked, 0.0) + jitter


async def retried(
    operation: Callable[[], Awaitable[_T]],
    backoff: Backoff,
    *,
    sleep: Callable[[float], Awaitable[object]],
    clock: Callable[[], datetime],
    rng: Random,
) -> _T:
    """Call `operation` until it works or `backoff` gives up; then its last error is raised."""
    tried = 0
    while True:
        try:
            return await operation()
        except ApiError as error:
            tried += 1
            wait = backoff.wait(tried, error, now=clock(), rng=rng)
            if wait is None:
                raise
        await sleep(wait)
