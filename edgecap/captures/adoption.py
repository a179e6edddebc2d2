"""Whether the API's list shows the capture that an intent's POST started, and whether its absence is proven.

A capture is an intent's own only if it was submitted after the intent's POST was recorded, if everything that
the API says of it matches what was posted, and if no other intent has it. A capture that the list does not
show is absent only if the list reaches back to the POST and is complete by now. Otherwise the outcome is
unknown, and the request must not be posted again.

Two things are assumed of the API, since its documentation does not state them: `LAG` and `ARRIVES_WITHIN`.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, Protocol

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Absence, Intent, JournalRecord, Posting
from edgecap.captures.destinations import read_destination, same_destination
from edgecap.captures.lanes import LAG
from edgecap.cloudflare.models import Capture, Listing
from edgecap.requests import LOOK_BACK, FullRequest, SimpleRequest, rfc3339

# A POST whose connection broke is accepted within this time, or never. Linux goes on sending for about 100 s
# for a process that is gone (tcp_orphan_retries). Proxies, also Cloudflare's own, give up after 100 s.
ARRIVES_WITHIN = timedelta(minutes=2)
CLOCKS_APART = timedelta(minutes=1)  # between the API's `Date` and its `submitted`, at most
_WHOLE_MILLISECOND = 1000  # microseconds: an API that rounds `offset_time` leaves no more


class Match(IntEnum):
    """Whether a capture is the one that was posted."""

    NO = 0
    MAYBE = 1  # the API does not say enough of it
    YES = 2


@dataclass(frozen=True, slots=True)
class Sought:
    """The outcome of an intent's POST, as far as the list tells.

    Attributes:
        capture: the intent's own capture.
        until: when the list can tell, on the server's clock, if it is too early now.
        doubt: why the list cannot tell. If `until` is None, only a person can.
        candidates: captures that may be its own.
    """

    capture: Capture | None = None
    until: datetime | None = None
    doubt: str = ""
    candidates: tuple[Capture, ...] = ()

    @property
    def absent(self) -> bool:
        """Whether it is sure that nothing was accepted."""
        return self.capture is None and not self.doubt


class Lists(Protocol):
    """The part of the client that this module uses."""

    async def list_back_to(self, listing: Listing, moment: datetime) -> Listing:
        """`listing` with further pages, as far as there are any, until it reaches back to `moment`."""
        ...


async def find_accepted(
    journal: Journal, record: JournalRecord, listing: Listing, lists: Lists, *, lag: timedelta = LAG
) -> Sought:
    """Find the capture that an intent's POST started, or journal the proof that it started none.

    The proof is journalled because a later list may not reach back to the POST: the run may have to wait
    for its lane, while others go on capturing.

    Args:
        journal: the intent's. It also says which captures belong to other intents.
        record: the intent; the journal names no capture for it.
        listing: what `GET /pcaps` shows, read after `record` was.
        lists: asks for further pages of the list.
        lag: how long after its submission a capture may be missing from the list.

    Raises:
        StoreError: the journal cannot be read or written; Damaged if a record of it cannot be read.
        ApiError: a further page cannot be had.
    """
    if not record.postings:
        return Sought()
    unsettled = record.unsettled
    since = min(posting.at for posting in unsettled or record.postings) - CLOCKS_APART
    if unsettled and not listing.reaches_back_to(since):
        listing = await lists.list_back_to(listing, since)
    ranked = [(best_match(record, capture), capture) for capture in listing.captures]
    if any(rank for rank, _ in ranked):
        taken = await asyncio.to_thread(_taken, journal, record.intent, since)
        ranked = [(rank, capture) for rank, capture in ranked if capture.id and capture.id not in taken]
    own = [capture for rank, capture in ranked if rank is Match.YES]
    if own:
        return Sought(min(own, key=lambda capture: capture.submitted or listing.server_time))
    if not unsettled:
        return Sought()
    maybe = tuple(capture for rank, capture in ranked if rank is Match.MAYBE)
    sought = _not_seen(record, unsettled, listing, maybe, lag)
    if sought.absent:
        for posting in unsettled:
            absence = Absence(number=posting.number, at=listing.server_time)
            await asyncio.to_thread(journal.prove_absent, record.intent.intent_id, absence)
    return sought


def _not_seen(
    record: JournalRecord,
    unsettled: Sequence[Posting],
    listing: Listing,
    maybe: tuple[Capture, ...],
    lag: timedelta,
) -> Sought:
    """The outcome if the list shows no capture that is surely the intent's."""
    told = max(_told_by(posting, record, lag) for posting in unsettled)
    if listing.server_time < told:
        doubt = f"whether Cloudflare accepted an earlier POST is not known before {rfc3339(told)}"
        return Sought(until=told, doubt=doubt, candidates=maybe)
    if maybe:
        names = ", ".join(capture.id for capture in maybe)
        return Sought(doubt=f"the API does not say enough of {names} to tell", candidates=maybe)
    if not listing.reaches_back_to(min(posting.at for posting in unsettled) - CLOCKS_APART):
        doubt = f"the list of captures does not reach back to the POST of {rfc3339(unsettled[0].at)}"
        return Sought(doubt=doubt)
    return Sought()


def best_match(record: JournalRecord, capture: Capture) -> Match:
    """Whether a capture is an intent's own, by any of its POSTs."""
    refused = {answer.number for answer in record.answers if answer.refused}
    return max(
        (
            match(record.intent, posting, capture, refused=posting.number in refused)
            for posting in record.postings
        ),
        default=Match.NO,
    )


def match(intent: Intent, posting: Posting, capture: Capture, *, refused: bool = False) -> Match:
    """Whether a capture is the one that a POST started.

    A simple capture whose `offset_time` came back with all its digits is recognised by them, even if the
    answer was a refusal: a proxy may have sent the request twice. Any other capture is recognised by
    everything that the API says of it, and by the time of its submission.

    Args:
        intent: what was posted.
        posting: the record of its POST.
        capture: one of the list.
        refused: the answer to the POST says that nothing was accepted.
    """
    request, body = intent.request, intent.body
    said = [
        None if not capture.type else capture.type == request.type,
        None if capture.time_limit is None else capture.time_limit == request.time_limit,
        _same_filter(capture, body.get("filter_v1")),
        _in_time(capture.submitted, posting.at),
    ]
    if isinstance(request, SimpleRequest):
        said.append(_same_moment(capture.offset_time, request.offset_time))
        exact = capture.offset_time == request.offset_time is not None
        if exact and capture.offset_time and capture.offset_time.microsecond % _WHOLE_MILLISECOND:
            return Match.NO if False in said else Match.YES
    said += [
        # The documentation does not list it in answers, so its absence says nothing.
        True if capture.packet_limit is None else _same_limit(capture.packet_limit, request.packet_limit),
    ]
    if isinstance(request, FullRequest):
        said += [
            _same_limit(capture.byte_limit, request.byte_limit),
            None if not capture.colo else capture.colo.lower() == request.colo.lower(),
            _same_bucket(capture.destination_conf, posting.destination),
        ]
    if refused or capture.id in posting.listed or False in said:
        return Match.NO
    if capture.submitted and capture.submitted > posting.at + ARRIVES_WITHIN + CLOCKS_APART:
        return Match.NO
    return Match.MAYBE if None in said else Match.YES


def _told_by(posting: Posting, record: JournalRecord, lag: timedelta) -> datetime:
    """When the list can tell the outcome of a POST."""
    for answer in record.answers:
        if answer.number == posting.number:  # the POST had arrived by then
            return answer.at + lag
    return posting.at + ARRIVES_WITHIN + lag


def _in_time(submitted: datetime | None, posted: datetime) -> bool | None:
    if submitted is None:
        return None
    if submitted >= posted:
        return True
    return None if submitted >= posted - CLOCKS_APART else False


def _same_moment(answered: datetime | None, asked: datetime | None) -> bool | None:
    """Equal, or equal once the digits that the answer lacks are dropped or rounded."""
    if answered is None or asked is None:
        return None
    if asked == answered:
        return True
    micros = answered.microsecond
    if micros % _WHOLE_MILLISECOND == 0 and micros:
        return abs(asked - answered) < timedelta(milliseconds=1)
    return micros == 0 and abs(asked - answered) < timedelta(seconds=1)


def _same_limit(answered: int | None, asked: int | None) -> bool | None:
    """None if only one of them is there: it may be a default of the API's."""
    if answered == asked:
        return True
    return None if answered is None or asked is None else False


def _same_filter(capture: Capture, asked: object) -> bool | None:
    told = capture.raw.get("filter_v1")
    posted = _plain(asked) if isinstance(asked, Mapping) else {}
    if told is None:
        return True if not posted else None
    return _plain(capture.filter_v1) == posted


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _address(value) for name, value in fields.items() if value is not None and value != ""}


def _address(value: object) -> object:
    """`203.0.113.7/32` is 203.0.113.7, and IPv6 has many ways to write one address."""
    if not isinstance(value, str):
        return value
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        return value


def _same_bucket(answered: str, posted: str) -> bool | None:
    if not answered or not posted:
        return None
    one, other = read_destination(answered), read_destination(posted)
    if one is None or other is None:
        return True if answered == posted else None
    return same_destination(one, other)


def _taken(journal: Journal, intent: Intent, since: datetime) -> set[str]:
    """Captures of the journal's other intents, which may have begun long before this one."""
    records: Iterable[JournalRecord] = journal.records(since=since - 2 * LOOK_BACK)
    return {
        record.capture_id
        for record in records
        if record.capture_id and record.intent.intent_id != intent.intent_id
    }
