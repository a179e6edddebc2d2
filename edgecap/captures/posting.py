"""A POST and its answer: whether it may be made again, and what follows if its outcome is unknown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Ended, Intent, JournalRecord, Posting
from edgecap.captures import identity
from edgecap.captures.adoption import Sought
from edgecap.captures.destinations import without_keys
from edgecap.captures.lanes import Admission
from edgecap.clock import ServerClock
from edgecap.cloudflare.client import Listing
from edgecap.errors import (
    ApiError,
    BadCredentials,
    Busy,
    EdgecapError,
    NoPermission,
    ObjectExists,
    OutcomeUnknown,
    RateLimited,
    RequestRefused,
    ServerFailure,
    UnknownToApi,
)
from edgecap.requests import SimpleRequest, rfc3339

REFUSALS = (RequestRefused, RateLimited, Busy, BadCredentials, NoPermission, UnknownToApi)
"""Answers to a POST that prove that nothing was accepted."""
# Errors of gateways before the API, which may still pass the request on; 52x are Cloudflare's own.
GATEWAY = frozenset({408, 502, 504, *range(520, 531)})


@dataclass(frozen=True, slots=True)
class Look:
    """A look at the list. How long ago it was is measured by a clock that never jumps.

    Attributes:
        listing: what it showed.
        at: when the answer came, by `monotonic`.
        monotonic: seconds that never jump.
        clock: the server's.
    """

    listing: Listing
    at: float
    monotonic: Callable[[], float]
    clock: ServerClock

    @property
    def age(self) -> float:
        """Seconds since the look, by this machine."""
        return self.monotonic() - self.at

    def now(self) -> datetime:
        """The server's time; it may be a little late, never early."""
        return self.listing.server_time + self.clock.there(timedelta(seconds=self.age))


def about_to_post(journal: Journal, record: JournalRecord, listing: Listing, destination_conf: str) -> int:
    """Journal that an intent's POST is about to be made.

    Args:
        journal: where.
        record: the intent. If it was posted before, the journal has the proof that this started nothing.
        listing: the list on which the decision to post is based.
        destination_conf: of a full capture; its keys are left out.

    Returns:
        The posting's number; 0 if another process of the run is about to post. Then this one must not.

    Raises:
        StoreError: it cannot be written. Then nothing may be posted.
    """
    intent = record.intent
    posting = Posting(
        number=len(record.postings) + 1,
        at=listing.server_time,
        destination=without_keys(destination_conf),
        listed=tuple(capture.id for capture in listing.captures if capture.type == intent.request.type),
    )
    try:
        journal.post(intent.intent_id, posting)
    except ObjectExists:
        return 0
    return posting.number


def proves_nothing_accepted(error: ApiError) -> bool:
    """Whether the failure of a POST proves that it started nothing."""
    return not error.sent or isinstance(error, REFUSALS)


def had_arrived(error: ApiError) -> bool:
    """Whether the API itself answered, so that the request had arrived: a gateway's answer says less."""
    return isinstance(error, ServerFailure) and error.status not in GATEWAY


def begin_repeat(
    journal: Journal, intent: Intent, repeat: Intent, reason: str, error: EdgecapError | None = None
) -> Intent:
    """Journal the intent that replaces another, then the end of that: a crash in between does no harm.

    Args:
        journal: where.
        intent: the one that ends.
        repeat: the one that replaces it.
        reason: why, in a line.
        error: what led to it, if an error did.

    Returns:
        The repeat as it stands in the journal.
    """
    stands = journal.begin(repeat)
    ended = Ended(
        outcome="repeated",
        reason=reason,
        error=type(error).__name__ if error else "",
        repeated_by=stands.intent_id,
        at=datetime.now(UTC),
    )
    journal.end(intent.intent_id, ended)
    return stands


def repeat_of(intent: Intent, *, now: datetime) -> Intent | None:
    """The intent that asks again for the window of one whose outcome is unknown.

    Only a simple intent can be repeated: it looks back, so a second capture costs only a minute of the lane.

    Args:
        intent: the intent whose outcome is unknown.
        now: the time, on the server's clock.

    Returns:
        None for a full one, and for one that is a repeat itself: after two failures a person must decide.
    """
    request = intent.request
    if not isinstance(request, SimpleRequest) or request.offset_time is None or intent.repeats:
        return None
    name = identity.intent_id(intent.intent_id, "again")
    again = request.model_copy(update={"offset_time": identity.fingerprint(request.offset_time, name)})
    return intent.model_copy(
        update={
            "intent_id": name,
            "request": again,
            "body": {**intent.body, "offset_time": rfc3339(again.offset_time or now)},
            "decided": now,
            "repeats": intent.intent_id,
        }
    )


def undecided(intent: Intent, sought: Sought) -> Admission:
    """When to look again for the outcome of a POST.

    Raises:
        OutcomeUnknown: another look will not tell.
    """
    if sought.until:
        return Admission(sought.until, sought.doubt)
    raise unknown_outcome(intent, sought)


def unknown_outcome(intent: Intent, sought: Sought) -> OutcomeUnknown:
    """The error that asks a person to find out the outcome of an intent's POST."""
    name = intent.intent_id
    return OutcomeUnknown(
        f"whether Cloudflare accepted this run's request cannot be told: {sought.doubt}",
        where=f"intent {name}",
        hint="look in the dashboard for a capture of this run, then say which it is, "
        f"`edgecap resolve {name} --capture ID`, or that there is none, "
        f"`edgecap resolve {name} --not-accepted`",
        candidates=tuple(capture.id for capture in sought.candidates),
    )
