"""Retries of calls that change nothing: exponential back-off with full jitter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from edgecap.errors import ApiError, NetworkFailure, RateLimited, ServerFailure

_T = TypeVar("_T")
RETRIED = (NetworkFailure, RateLimited, ServerFailure)  # temporary errors


class Random(Protocol):
    """The part of `random.Random` that back-off needs."""

    def uniform(self, a: float, b: float, /) -> float:
        """A number between `a` and `b`."""
        ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """Number and timing of retries. All times in seconds.

    Attributes:
        attempts: maximum calls, the first included.
        first: the first wait is between 0 and this; the maximum doubles with each further one.
        most: the longest wait, except for one that the server asks for.
        patience: if the server asks for a longer wait, give up; the caller decides.
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
        # In addition to the requested wait, so that many clients do not return in the same second.
        return None if asked > self.patience else max(asked, 0.0) + jitter


async def retried(
    operation: Callable[[], Awaitable[_T]],
    backoff: Backoff,
    *,
    sleep: Callable[[float], Awaitable[object]],
    clock: Callable[[], datetime],
    rng: Random,
) -> _T:
    """Call `operation` until it succeeds or `backoff` gives up; then raise its last error."""
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
