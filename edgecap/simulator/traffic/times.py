"""Times as nanoseconds since 1970 UTC, without floating-point rounding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from edgecap.errors import InvalidRequest

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000_000
MILLISECOND = 1_000_000
MICROSECOND = 1_000


def nanoseconds(moment: datetime) -> int:
    """`moment` as nanoseconds since 1970 UTC, exact.

    Raises:
        InvalidRequest: it has no time zone.
    """
    if moment.tzinfo is None:
        raise InvalidRequest(f"the time {moment.isoformat()} has no time zone", hint="give it in UTC")
    return span(moment - UNIX_EPOCH)


def span(length: timedelta) -> int:
    """`length` in nanoseconds, exact."""
    return length // timedelta(microseconds=1) * MICROSECOND
