"""Admission to a lane: whether a request may be posted now, by the lane, its line and the server's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol

from edgecap.captures.lanes import Admission, Kind, LastSubmission, next_turn
from edgecap.captures.queue import Waiter, in_order, place_of, turn_takes
from edgecap.clock import ServerClock
from edgecap.cloudflare.models import Capture
from edgecap.requests import CaptureRequest, SimpleRequest
from edgecap.settings import Timing

# A `Date` has whole seconds: the server's clock may be so much further.
DATE_RESOLUTION = timedelta(seconds=1)


class LaneHold(Protocol):
    """The lane while it is held."""

    memory: LastSubmission | None
    """What its last holder left."""

    others: Sequence[Waiter]
    """The others that wait for it."""

    async def remember(self, memory: LastSubmission | None) -> None:
        """Leave `memory` where the next holder sees it, since the API's list may lag."""
        ...


Lane = Callable[[Kind], AbstractAsyncContextManager[LaneHold]]
"""Enters the critical section of an account's lane: one holder at a time, on all machines, for moments."""


class AdmissionRules:
    """The rules of an account's lanes.

    Args:
        timing: spacing, look-again times, and when a waiter counts as urgent.
        server: the server's clock.
        clock: the clock of those who wait, aware, UTC.
    """

    def __init__(self, timing: Timing, server: ServerClock, clock: Callable[[], datetime]) -> None:
        self._server = server
        self._clock = clock
        self._spacing = timedelta(seconds=timing.simple_spacing)
        self._look_again = timedelta(seconds=timing.full_retry)
        self._patience = timedelta(seconds=timing.urgent_after)

    def admit(
        self,
        request: CaptureRequest,
        captures: Iterable[Capture],
        hold: LaneHold,
        me: Waiter | None,
        *,
        now: datetime,
    ) -> tuple[Admission, bool]:
        """When a request may be posted, and whether it may only because it has waited so long.

        Args:
            request: what is to be posted.
            captures: what the list of captures shows, and what is known beside it.
            hold: the lane.
            me: the waiter whose request it is, if others may wait too.
            now: the server's time of the list.
        """
        turn, urgent = self.next_turn(request.type, captures, now=now, memory=hold.memory), False
        if me:
            turn, urgent = self._in_line(turn, me, hold, now)
        if turn.now:
            turn = _not_yet(request, now) or turn
        return turn, urgent

    def next_turn(
        self,
        kind: Kind,
        captures: Iterable[Capture],
        *,
        now: datetime,
        memory: LastSubmission | None = None,
    ) -> Admission:
        """When the lane is free, without a look at the line. Arguments as those of `lanes.next_turn`."""
        return next_turn(
            kind, captures, now=now, spacing=self._spacing, look_again=self._look_again, memory=memory
        )

    def following(self, hold: LaneHold, *, urgent: bool) -> list[Waiter]:
        """The others in the order of their turns, after this turn.

        Args:
            hold: the lane.
            urgent: whether this turn came only because of a long wait.
        """
        return in_order(hold.others, now=self._clock(), patience=self._patience, urgent_went=urgent)

    def _in_line(
        self, turn: Admission, me: Waiter, hold: LaneHold, server_now: datetime
    ) -> tuple[Admission, bool]:
        """The turn of `me` behind those that go first, and whether it comes only because of a long wait."""
        now = self._clock()
        order = in_order(
            [me, *hold.others],
            now=now,
            patience=self._patience,
            urgent_went=bool(hold.memory and hold.memory.urgent),
        )
        free = now + self._server.here(turn.at - server_now)
        place = place_of(me, order, free=free, now=now)
        urgent = any(waiter.priority < me.priority for waiter in order[order.index(me) + 1 :])
        if not place.ahead or (turn.now and not place.yields):
            return turn, urgent
        wait = sum((turn_takes(waiter, self._spacing) for waiter in place.ahead), timedelta())
        first = place.ahead[0]
        many = f"{len(place.ahead)} go first" if len(place.ahead) > 1 else "another goes first"
        reason = f"{many}, {first.priority.name.lower()} before all" if first.priority < me.priority else many
        reason = f"{reason}; {turn.reason}" if turn.reason else reason
        return Admission(turn.expected + wait, reason, ahead=len(place.ahead)), urgent


def _not_yet(request: CaptureRequest, now: datetime) -> Admission | None:
    """When a simple capture's window is over, if it still lies ahead: the server's clock was set back."""
    ends = request.offset_time if isinstance(request, SimpleRequest) else None
    if ends is None or ends <= now + DATE_RESOLUTION:
        return None
    return Admission(
        ends, f"its window ends at {ends:%H:%M:%S}Z, and Cloudflare's clock says {now:%H:%M:%S}Z"
    )
