"""Starting captures. Only this module posts.

The order of the steps makes one intent lead to at most one accepted capture, whatever is killed and whenever:
journal the intent, look at the list inside the lane, journal that the POST is about to be made, post, journal
the capture's id. A POST without a journalled id is made again only once it is proven to have started nothing:
`edgecap.captures.adoption` says when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from edgecap.analytics.choice import Choice
from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Answer, Intent, JournalRecord
from edgecap.captures.admission import AdmissionRules, Lane, LaneHold
from edgecap.captures.adoption import find_accepted
from edgecap.captures.lanes import Admission, Kind, LastSubmission
from edgecap.captures.posting import (
    Look,
    about_to_post,
    begin_repeat,
    had_arrived,
    proves_nothing_accepted,
    repeat_of,
    undecided,
)
from edgecap.captures.queue import Waiter
from edgecap.captures.relocation import is_better, is_to_be_chosen_again, moved, next_place
from edgecap.clock import seconds_since_boot
from edgecap.cloudflare.client import Client, Listing
from edgecap.cloudflare.models import Capture
from edgecap.errors import (
    ApiError,
    Busy,
    CaptureFailed,
    EdgecapError,
    OutcomeUnknown,
    RateLimited,
    RequestRefused,
    UnexpectedAnswer,
    UnknownToApi,
)
from edgecap.filters.check import check_window
from edgecap.settings import Timing

REFUSED_MOST = timedelta(minutes=5)  # the longest pause between two refused requests
STALE = 45.0  # seconds; the POST must follow the look at the list within this time, else look again


@dataclass(frozen=True, slots=True)
class Started:
    """A capture that was started.

    Attributes:
        capture: as accepted.
        intent: what it is for.
        adopted: whether an earlier POST or an earlier life of the run started it.
        following: the runs in line after it, in the order of their turns; None if that is not known.
    """

    capture: Capture
    intent: Intent
    adopted: bool = False
    following: Sequence[Waiter] | None = None


class Submitter:
    """Turns an intent into at most one accepted capture.

    Args:
        client: the account's API.
        journal: where intents are kept.
        lane: enters the account's lane of a type.
        timing: spacing, look-again times, and when a waiter counts as urgent.
        clock: the clock of those who wait, aware, UTC.
        monotonic: seconds that never jump, and go on while the machine is suspended.
        choose: chooses the place of a full capture again; None where places are not chosen.
        accepted: called with the capture's id as soon as it is known, before the journal is written: its
            store may hang, and the run may be cancelled meanwhile.
    """

    def __init__(
        self,
        client: Client,
        journal: Journal,
        lane: Lane,
        timing: Timing,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = seconds_since_boot,
        choose: Callable[[Intent], Awaitable[Choice | None]] | None = None,
        accepted: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._journal = journal
        self._lane = lane
        self._monotonic = monotonic
        self._tell_accepted = accepted
        self._choose = choose
        self._look_again = timedelta(seconds=timing.full_retry)
        self._server = timing.server_clock(client.server_now)
        self._rules = AdmissionRules(timing, self._server, clock)
        self._outage = self._server.there(timedelta(seconds=timing.outage))

    async def attempt(
        self, intent: Intent, *, destination_conf: str | None, me: Waiter | None = None
    ) -> Started | Admission:
        """Start the intent's capture if its turn has come; else say when to try again and why.

        Args:
            intent: what to start. If it is in the journal already, the journal's record counts.
            destination_conf: the bucket's URI for a full capture; it may hold a secret, so it is not
                journalled.
            me: the run's place in line, if others may wait too.

        Returns:
            The capture and its intent; or when to try again, and why. If it stays unknown whether a simple
            capture was accepted, its window is asked for again, with an intent of its own.

        Raises:
            ApiError: the API refused for good, or it is away. Trying again is safe: the journal knows.
            CaptureFailed: the journal says that the intent was given up, so nothing may be posted for it.
            OutcomeUnknown: whether the POST was accepted stays unknown. It is not posted again.
            WindowTooOld: a simple capture waited until the API had forgotten its window.
        """
        record = await asyncio.to_thread(self._journal.follow, intent.intent_id)
        intent = record.intent if record else await asyncio.to_thread(self._journal.begin, intent)
        try:
            return await self._attempt(intent, destination_conf, me)
        except OutcomeUnknown as unknown:
            repeat = repeat_of(intent, now=self._server.now())
            if repeat is None:
                raise
            reason = f"{unknown.what}; its window is asked for again"
            intent = await asyncio.to_thread(begin_repeat, self._journal, intent, repeat, reason, unknown)
        return await self._attempt(intent, destination_conf, me)

    async def _attempt(
        self, intent: Intent, destination_conf: str | None, me: Waiter | None
    ) -> Started | Admission:
        if earlier := self._accepted_before(await self._record(intent)):
            return earlier
        async with self._lane(intent.request.type) as hold:
            # Read again: while this life of the run waited for the lane, another one may have been here.
            record = await self._record(intent)
            if earlier := self._accepted_before(record):
                return earlier
            intent = record.intent  # another life may have asked for its window again
            listing = await self._client.list_captures()
            look = Look(listing, self._monotonic(), self._monotonic, self._server)
            sought = await find_accepted(self._journal, record, listing, self._client)
            if sought.capture:
                return await self._adopt(intent, sought.capture)
            if not sought.absent:
                return undecided(intent, sought)
            hidden = await self._hidden(intent.request.type, listing, hold.memory)
            captures, now = [*listing.captures, *hidden], listing.server_time
            turn, urgent = self._rules.admit(intent.request, captures, hold, me, now=now)
            if not turn.now:
                return turn
            check_window(intent.request, now=now)
            record = await self._at_its_place(record, now)
            outcome = await self._post_somewhere(hold, record, look, destination_conf, urgent=urgent)
            if isinstance(outcome, Started):
                submitted = outcome.capture.submitted or look.now()
                await hold.remember(LastSubmission(outcome.capture.id, submitted, urgent))
                outcome = replace(outcome, following=self._rules.following(hold, urgent=urgent))
            return outcome

    async def _hidden(self, kind: Kind, listing: Listing, memory: LastSubmission | None) -> list[Capture]:
        """The lane's last full capture, if the list does not show it: newer ones may fill the list."""
        if kind != "full" or not memory or not memory.capture_id:
            return []
        if any(capture.id == memory.capture_id for capture in listing.captures):
            return []
        with suppress(UnknownToApi, UnexpectedAnswer):
            return [await self._client.get_capture(memory.capture_id)]
        return []

    async def _record(self, intent: Intent) -> JournalRecord:
        record = await asyncio.to_thread(self._journal.follow, intent.intent_id)
        return record or JournalRecord(intent)

    async def _at_its_place(self, record: JournalRecord, now: datetime) -> JournalRecord:
        """The record, or the one that replaces it: if it waited long, its place is chosen again."""
        intent = record.intent
        if not self._choose or not is_to_be_chosen_again(record, self._server.here(now - intent.decided)):
            return record
        choice = await self._choose(intent)
        if choice is None or not is_better(choice, intent):
            return record
        return await self._moved(
            intent, choice, now, f"it waited, and its place was chosen again: {choice.words}"
        )

    async def _moved(
        self, intent: Intent, choice: Choice, now: datetime, reason: str, error: EdgecapError | None = None
    ) -> JournalRecord:
        repeat = moved(intent, choice, now=now)
        stands = await asyncio.to_thread(begin_repeat, self._journal, intent, repeat, reason, error)
        return JournalRecord(stands)

    async def _post_somewhere(
        self, hold: LaneHold, record: JournalRecord, look: Look, destination_conf: str | None, *, urgent: bool
    ) -> Started | Admission:
        """Post; if a place that was chosen is refused, post for the next one."""
        while True:
            # Recorded before the POST: a crash during it must not leave the lane looking free. The time is
            # that of the list which this builds on: no jump of our own clock can spoil it.
            await hold.remember(LastSubmission("", look.listing.server_time, urgent))
            try:
                return await self._post(hold, record, look, destination_conf)
            except RequestRefused as refused:
                choice = next_place(record.intent, refused)
                if choice is None:
                    raise
                reason = f"Cloudflare does not accept its place: {refused.what}"
                record = await self._moved(record.intent, choice, look.now(), reason, refused)

    async def _post(
        self,
        hold: LaneHold,
        record: JournalRecord,
        look: Look,
        destination_conf: str | None,
    ) -> Started | Admission:
        """Journal that the POST is about to be made, and make it."""
        intent = record.intent
        body = dict(intent.body)
        if destination_conf:
            body["destination_conf"] = destination_conf
        number = 0
        try:
            number = await asyncio.to_thread(
                about_to_post, self._journal, record, look.listing, destination_conf or ""
            )
            if number and look.age > STALE:
                await self._answered(intent, number, look, "not made: too late", refused=True)
                number = 0
        finally:
            if not number:
                await self._not_started(hold, intent.request.type, look, known=True)
        if not number:
            return Admission(look.now() + self._look_again, "another process of this run is at it")
        try:
            capture = await self._client.create_capture(body)
        except ApiError as error:
            return await self._failed(hold, intent, number, look, error)
        self._tell_accepted(capture.id)
        await asyncio.to_thread(self._journal.accept, intent.intent_id, capture.raw)
        return Started(capture, intent)

    async def _answered(self, intent: Intent, number: int, look: Look, what: str, *, refused: bool) -> None:
        answer = Answer(number=number, at=look.now(), refused=refused, what=what)
        await asyncio.to_thread(self._journal.answer, intent.intent_id, answer)

    async def _failed(
        self, hold: LaneHold, intent: Intent, number: int, look: Look, error: ApiError
    ) -> Started | Admission:
        """Handle a POST whose answer named no capture: nothing was accepted, or only the list can tell."""
        kind = intent.request.type
        refused = proves_nothing_accepted(error)
        await self._not_started(hold, kind, look, known=refused)
        if refused or had_arrived(error):
            await self._answered(intent, number, look, error.what, refused=refused)
        if isinstance(error, RequestRefused | RateLimited | Busy):
            turn = await self._refused(intent, error)
            if turn.now:  # the lane is free, so the API refuses the request itself
                raise error
            return turn
        if refused:
            raise error
        try:
            now = await self._client.list_captures()
        except ApiError as unseen:
            raise error from unseen  # the POST was sent, although the list cannot be seen either
        sought = await find_accepted(self._journal, await self._record(intent), now, self._client)
        if sought.capture:
            return await self._adopt(intent, sought.capture)
        if sought.absent:
            raise error
        return undecided(intent, sought)

    async def _not_started(self, hold: LaneHold, kind: Kind, look: Look, *, known: bool) -> None:
        """Record what a POST that started nothing, as far as is known, means for the lane.

        A refused simple request was a request, too, and only one a minute is allowed.
        """
        if known and kind == "full":
            await hold.remember(hold.memory)
        else:
            await hold.remember(LastSubmission("", look.now()))

    async def _refused(self, intent: Intent, refused: ApiError) -> Admission:
        """When to try again after a refusal. Its code is not documented, so the list decides what it means.

        If the list shows no reason, there may be a hidden one: a capture that is too new for the list, or a
        quota. Then the pauses grow, and the run gives up after the time that it would wait for an outage.
        """
        kind = intent.request.type
        listing = await self._client.list_captures()
        turn = self._rules.next_turn(kind, listing.captures, now=listing.server_time)
        if not turn.now:
            return Admission(max(turn.at, refused.retry_at or turn.at), turn.reason)
        if isinstance(refused, RequestRefused):
            return turn
        # Refusals long before had another reason: the run has waited for its lane since.
        refusals = (await self._record(intent)).refusals(apart=2 * REFUSED_MOST)
        since = refusals[0].at if refusals else listing.server_time
        if listing.server_time - since > self._outage:
            return turn
        pause = min(REFUSED_MOST, self._look_again * 2 ** min(max(len(refusals) - 1, 0), 16))
        later = max(listing.server_time + pause, refused.retry_at or listing.server_time)
        return Admission(later, f"the API says: {refused.what}")

    def _accepted_before(self, record: JournalRecord) -> Started | None:
        """The capture of an earlier life, if the journal names one."""
        earlier = _accepted(record)
        if earlier:
            self._tell_accepted(earlier.capture.id)
        return earlier

    async def _adopt(self, intent: Intent, capture: Capture) -> Started:
        self._tell_accepted(capture.id)
        await asyncio.to_thread(self._journal.accept, intent.intent_id, capture.raw)
        return Started(capture, intent, adopted=True)


def _accepted(record: JournalRecord) -> Started | None:
    """The intent's capture, if the journal names one."""
    if record.accepted:
        known = Capture.model_validate({**record.accepted.capture, "id": record.capture_id})
        return Started(known, record.intent, adopted=True)
    if record.ended:
        raise CaptureFailed(
            f"this run's request was given up: {record.ended.reason}",
            where=f"intent {record.intent.intent_id}",
            hint="start a new run if it is still wanted",
        )
    return None
