"""Outages: how long to wait for a service, how often to ask again, and what a waiting run says.

Cloudflare keeps packets for a day, so a run waits for hours rather than lose a window.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from edgecap.errors import (
    BadCredentials,
    EdgecapError,
    NetworkFailure,
    NoPermission,
    RateLimited,
    ServerFailure,
    StoreError,
    StoreMissing,
    StoreUnreachable,
    UnexpectedAnswer,
)

AWAY = (NetworkFailure, ServerFailure, UnexpectedAnswer, RateLimited, StoreUnreachable)
"""Errors that mean that a service is away."""
SHUT_OUT = (BadCredentials, NoPermission)
"""Errors that may pass as well once a capture was accepted: the token may be about to be replaced."""
PAUSE_FIRST, PAUSE_MOST = 15.0, 300.0  # seconds between two attempts, growing with the outage
# Failures within this time of each other belong to one outage. It is long because, besides the pause, an
# attempt takes its tries, and with many runs in line it waits for a worker.
SAME_OUTAGE = timedelta(hours=3)
WAITING_FOR_CLOUDFLARE = "WaitingForCloudflare"
WAITING_FOR_ARCHIVE = "WaitingForArchive"
WAITING_FOR_BUCKET = "WaitingForBucket"


@dataclass(frozen=True, slots=True)
class Outage:
    """An outage as one run sees it. Times are aware, on this machine's clock.

    Attributes:
        since: when the first attempt failed.
        last: when the last attempt failed.
    """

    since: datetime
    last: datetime

    def __str__(self) -> str:
        return f"{self.since.isoformat()} {self.last.isoformat()}"

    @classmethod
    def parse(cls, text: str) -> Outage | None:
        """The outage that `str` wrote; None if the text is not one."""
        try:
            since, last = map(datetime.fromisoformat, text.split(" "))
        except ValueError:
            return None
        return cls(since, last)


def may_pass(error: EdgecapError, *, accepted: bool, unattended: bool) -> bool:
    """Whether a run waits for the service that failed, instead of failing too.

    A missing folder may lie on a disk that is not mounted at the moment, so a worker's run waits for it. A
    person at a terminal has more likely misspelt it, and wants to know at once. The same goes for a proxy
    that wants a password, and for a certificate that is not trusted.

    Args:
        error: the error of the attempt.
        accepted: whether Cloudflare has accepted the run's capture.
        unattended: whether a worker runs it, so that no person waits for the answer.
    """
    if isinstance(error, AWAY):
        return accepted or unattended or not error.permanent
    if accepted:
        return isinstance(error, (*SHUT_OUT, StoreMissing))
    return unattended and isinstance(error, StoreMissing) and error.where.startswith("file:")


def another_failure(known: Outage | None, now: datetime) -> Outage:
    """The outage to which a failure at `now` belongs: the known one, if its last failure was not long ago."""
    if known and timedelta() <= now - known.last <= SAME_OUTAGE:
        return Outage(known.since, now)
    return Outage(now, now)


def pause(outage: Outage) -> float:
    """Seconds until the next attempt: half as long as the outage has lasted, within bounds."""
    return min(PAUSE_MOST, max(PAUSE_FIRST, (outage.last - outage.since).total_seconds() / 2))


def is_over(outage: Outage, patience: float) -> bool:
    """Whether a run has waited for `patience` seconds, and gives up."""
    return (outage.last - outage.since).total_seconds() >= patience


def waits_for(error: EdgecapError, buckets: Iterable[str]) -> str:
    """The name of the state of a run that waits for the service that is away.

    Args:
        error: the error of the attempt.
        buckets: URIs of the buckets of the settings, without parameters.
    """
    if not isinstance(error, StoreError):
        return WAITING_FOR_CLOUDFLARE
    in_a_bucket = any(error.where.startswith(bucket) for bucket in buckets)
    return WAITING_FOR_BUCKET if in_a_bucket else WAITING_FOR_ARCHIVE


def reason(error: EdgecapError, outage: Outage, patience: float) -> str:
    """What a run waits for, since when and until when, in one line."""
    for_what = "a store that does not answer" if isinstance(error, StoreError) else "Cloudflare"
    until = outage.since + timedelta(seconds=patience)
    where = f" ({error.where})" if error.where and error.where not in error.what else ""
    return (
        f"Waiting for {for_what} since {outage.since:%H:%M:%S}Z, until {until:%Y-%m-%d %H:%M}Z at most: "
        f"{' '.join(error.what.split())}{where}"
    )
