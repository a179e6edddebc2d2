"""Starting captures: the only place that does, and the only one that knows the lanes.

The order is what makes one intent lead to at most one accepted capture, whatever is killed and whenever:
the intent is journalled, then the list is looked at inside the lane, then the request is posted, then its
id is journalled. Who finds an intent without an id looks for its capture before posting again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from edgecap.adoption import look_for
from edgecap.archive.journal import Intent, Journal
from edgecap.checking import check_window
from edgecap.cloudflare.client import Client, Listing
from edgecap.cloudflare.models import Capture
from edgecap.errors import (
    ApiError,
    Busy,
    CaptureFailed,
    NetworkTrouble,
    RateLimited,
    RequestRefused,
    ServerTrouble,
    UnexpectedAnswer,
)
from edgecap.lanes import Kind, Memory, Turn, next_turn
from edgecap.line import CHANGE_OVER, Waiter, in_order, place_of
from edgecap.settings import Timing


class LaneHold(Protocol):
    """The lane while it is held."""

    memory: Memory | None
    """What its last holder left."""

    others: Sequence[Waiter]
    """Who else waits for it."""

    async def remember(self, memory: Memory | None) -> None:
        """Leave `memory` where the next holder sees it, since the API's list may lag."""
        ...


Lane = Callable[[Kind], AbstractAsyncContextManager[LaneHold]]
"""Enters the critical section of an account's lane: one holder at a time, on all machines, for moments."""


@dataclass(frozen=True, slots=True)
class Started:
    """The intent's capture. `adopted` if an earlier life had started it."""

    capture: Capture
    adopted: bool = False


class Submitter:
    """Turns an intent into at most one accepted capture.

    Args:
        client: the account's API.
        journal: where intents are kept.
        lane: enters the account's lane of a type.
        timing: spacing, look-again times, and when a waiter counts as urgent.
        clock: the clock of those who wait, aware, UTC.
    """

    def __init__(
        self,
        client: Client,
        journal: Journal,
        lane: Lane,
        timing: Timing,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._journal = journal
        self._lane = lane
        self._clock = clock
        self._spacing = timedelta(seconds=timing.simple_spacing)
        self._look_again = timedelta(seconds=timing.full_retry)
        self._patience = timedelta(seconds=timing.urgent_after)
        self._speed = timing.server_speed

    async def attempt(
        self, intent: Intent, *, destination_conf: str | None, me: Waiter | None = None
    ) -> Started | Turn:
        """Start the intent's capture if its turn has come; else say when to try again and why.

        Args:
            intent: what to start. If it is in the journal already, what stands there counts.
            destination_conf: the bucket's URI for a full capture; it may hold a secret, so it is not
                journalled.
            me: who asks, if others may wait too.

        Raises:
            ApiError: the API refused for good, or its answer was lost and the list does not show the capture.
                Trying again is safe: the journal knows.
            CaptureFailed: the journal says that the intent was given up, so nothing may be posted for it.
            WindowTooOld: a simple capture waited until the API had forgotten its window.
        """
        if earlier := await self._accepted(intent):
            return earlier
        intent = await asyncio.to_thread(self._journal.begin, intent)
        kind = intent.request.type
        async with self._lane(kind) as hold:
            # Again: while this life waited for the lane, another one of the same run may have been here.
            if earlier := await self._accepted(intent):
                return earlier
            listing = await self._client.list_captures()
            if found := await look_for(self._journal, intent, listing):
                return await self._adopt(intent, found)
            turn = self._turn(kind, listing, hold.memory)
            urgent = False
            if me:
                turn, urgent = self._in_line(turn, me, hold, listing.server_time)
            if not turn.now:
                return turn
            check_window(intent.request, now=listing.server_time)
            body = dict(intent.body)
            if destination_conf:
                body["destination_conf"] = destination_conf
            # Before the POST: who dies in it must not leave a lane that looks free.
            # With the time of the answer that this builds on, which no jump of our own clock can spoil.
            await hold.remember(Memory("", listing.server_time, urgent))
            try:
                outcome = await self._post(intent, body)
            except ApiError as error:
                known = not error.sent or isinstance(error, RequestRefused)
                await self._not_started(hold, kind, listing.server_time, known=known)
                raise
            if isinstance(outcome, Started):
                submitted = outcome.capture.submitted or self._client.server_now()
                await hold.remember(Memory(outcome.capture.id, submitted, urgent))
            else:
                await self._not_started(hold, kind, listing.server_time, known=True)
            return outcome

    async def _accepted(self, intent: Intent) -> Started | None:
        """The intent's capture, if the journal names one."""
        record = await asyncio.to_thread(self._journal.find, intent.intent_id)
        if record is None:
            return None
        if record.capture_id:
            return Started(await self._client.get_capture(record.capture_id), adopted=True)
        if record.ended:
            raise CaptureFailed(
                f"this run's request was given up: {record.ended.reason}",
                where=f"intent {intent.intent_id}",
                todo="start a new run if it is still wanted",
            )
        return None

    async def _not_started(self, hold: LaneHold, kind: Kind, looked: datetime, *, known: bool) -> None:
        """Leave what a POST that started nothing, as far as is known, means for the next one.

        A simple request that was refused was a request all the same, and one a minute is allowed. It was made
        after the list was `looked` at, whatever our own clock says since.
        """
        if known and kind == "full":
            await hold.remember(hold.memory)
        else:
            await hold.remember(Memory("", max(looked, self._client.server_now())))

    def _in_line(self, turn: Turn, me: Waiter, hold: LaneHold, server_now: datetime) -> tuple[Turn, bool]:
        """The turn of `me`, given who goes first; and whether it has it for having waited so long."""
        now = self._clock()
        order = in_order(
            [me, *hold.others],
            now=now,
            patience=self._patience,
            urgent_went=bool(hold.memory and hold.memory.urgent),
        )
        free = now + (turn.at - server_now) / self._speed
        place = place_of(me, order, free=free, now=now)
        urgent = any(waiter.priority < me.priority for waiter in order[order.index(me) + 1 :])
        if not place.ahead or (turn.now and not place.yields):
            return turn, urgent
        if me.holds:
            wait = sum((waiter.holds + CHANGE_OVER for waiter in place.ahead), timedelta())
        else:
            wait = len(place.ahead) * self._spacing
        first = place.ahead[0]
        many = f"{len(place.ahead)} go first" if len(place.ahead) > 1 else "another goes first"
        reason = f"{many}, {first.priority.name.lower()} before all" if first.priority < me.priority else many
        reason = f"{reason}; {turn.reason}" if turn.reason else reason
        return Turn(turn.expected + wait, reason, ahead=len(place.ahead)), urgent

    async def _post(self, intent: Intent, body: dict[str, Any]) -> Started | Turn:
        try:
            capture = await self._client.create_capture(body)
        except (RateLimited, Busy) as refused:
            return await self._refused(intent, refused)
        except RequestRefused as refused:
            turn = await self._refused(intent, refused)
            if turn.now:  # the lane is free, so it is the request that the API does not like
                raise
            return turn
        except (NetworkTrouble, ServerTrouble, UnexpectedAnswer) as lost:
            if not lost.sent:
                raise
            # It may have been accepted: only the list can tell.
            try:
                listing = await self._client.list_captures()
            except ApiError as unseen:
                raise lost from unseen  # that the list was not seen either does not make the POST unsent
            found = await look_for(self._journal, intent, listing)
            if found is None:
                raise
            return await self._adopt(intent, found)
        await asyncio.to_thread(self._journal.accept, intent.intent_id, capture.raw)
        return Started(capture)

    async def _refused(self, intent: Intent, refused: ApiError) -> Turn:
        """The code of a refused capture is not documented, so the list decides what a refusal means."""
        listing = await self._client.list_captures()
        turn = self._turn(intent.request.type, listing, None)
        if not turn.now:
            return Turn(max(turn.at, refused.retry_at or turn.at), turn.reason)
        if isinstance(refused, RequestRefused):
            return turn
        later = refused.retry_at or listing.server_time + self._look_again
        return Turn(later, f"the API says: {refused.what}")

    def _turn(self, kind: Kind, listing: Listing, memory: Memory | None) -> Turn:
        return next_turn(
            kind,
            listing.captures,
            now=listing.server_time,
            spacing=self._spacing,
            look_again=self._look_again,
            memory=memory,
        )

    async def _adopt(self, intent: Intent, capture: Capture) -> Started:
        await asyncio.to_thread(self._journal.accept, intent.intent_id, capture.raw)
        return Started(capture, adopted=True)


def seconds_until(turn: Turn, server_now: datetime, speed: float) -> float:
    """Seconds of our own clock until `turn`, at least a tenth; `speed` is that of the server's clock."""
    return max(0.1, (turn.at - server_now).total_seconds() / speed)
