"""Task `submit`: start the run's capture when its lane allows, at most once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import httpx
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun

from edgecap.analytics.choice import Choice
from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Intent
from edgecap.captures.destinations import destination_conf
from edgecap.captures.intent import decide
from edgecap.captures.lanes import Admission, ends
from edgecap.captures.order import CaptureOrder
from edgecap.captures.outages import AWAY, SHUT_OUT
from edgecap.captures.ownership import require_validated
from edgecap.captures.queue import GRACE, Waiter
from edgecap.captures.submission import Started, Submitter
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import StoreError, TooLate
from edgecap.filters.check import check_request, check_window
from edgecap.requests import AUTO, FullRequest, SimpleRequest, rfc3339
from edgecap.settings import Settings, Timing, load_settings
from edgecap.stores import open_store
from edgecap.stores.write_check import require_writable
from edgecap.units import clock as time_of_day
from tasks.runtime.cancelled import CAPTURE
from tasks.runtime.cancelling import note_capture
from tasks.runtime.lane_queue import Queue
from tasks.runtime.lane_slot import lane_of
from tasks.runtime.lane_waiters import new_waiter
from tasks.runtime.outage import outage_of, wait_out
from tasks.runtime.retry import DELAYS, PASSING, TRIES, passing_soon
from tasks.runtime.suspend import WAITING_FOR_LANE, Waiting, mark_running, mark_waiting, max_inline_wait

EARLIEST = 15.0  # seconds; Prefect's workers look ten ahead
SHORTEST_NAP = 0.1  # seconds
LONGEST_NAP = 30.0  # seconds; the running capture may have been stopped meanwhile


@dataclass(frozen=True, slots=True)
class Submitted:
    """An accepted capture, and the intent that it is for."""

    intent: Intent
    capture: Capture


@task(
    name="submit",
    task_run_name="submit",
    # The journal remembers what was submitted. A turn that has not come must not be cached.
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing_soon,
)
async def submit(order: CaptureOrder) -> Submitted | Waiting:
    """Wait for the lane, then ask Cloudflare for the capture, at most once.

    A run that is taken up again goes on where it was: the journal knows.

    Args:
        order: what is asked for.

    Returns:
        The accepted capture; or until when to wait, if that is worth ending the process for.

    Raises:
        EdgecapError: bad input, or the API refused for good.
        TooLate: a full capture is late, and its order says to skip late ones.
    """
    try:
        return await _submit(order)
    except AWAY:
        await _check_still_wanted(order)
        raise
    except SHUT_OUT as error:
        if not await _may_have_posted(order):
            raise
        return await wait_out(order.run_id, error)


async def _submit(order: CaptureOrder) -> Submitted | Waiting:
    request = order.request
    settings = load_settings()
    sign_in = settings.account(order.account)
    store = open_store(settings.archive(order.archive))
    bucket = settings.bucket(request.bucket) if isinstance(request, FullRequest) else None
    destination = destination_conf(bucket, with_secrets=True) if bucket else None
    async with get_client() as prefect:
        run = await prefect.read_flow_run(UUID(order.run_id))
    async with Client(sign_in) as client:
        record = await asyncio.to_thread(Journal(store).follow, order.intent_id)
        if record is None:
            _check_time(order, settings.timing)
            check_request(request, settings.bounds, now=datetime.now(UTC))
            await asyncio.to_thread(require_writable, store)
            choice = await _choose(order.request, order, settings)
            intent = await _decide(order, settings, client, run, choice)
            # Before any step that needs Cloudflare: the window is kept, however long Cloudflare is away.
            intent = await asyncio.to_thread(Journal(store).begin, intent)
        else:
            intent = record.intent
        if record is None or (outage_of(run) and not record.accepted and not record.unsettled):
            await _check_bucket(request, settings, client)
        line = _InLine(client, settings.timing, Queue(request.type, sign_in.lanes), run, request)
        submitter = Submitter(
            client,
            Journal(store),
            lane_of(sign_in.lanes, myself=order.run_id),
            settings.timing,
            choose=partial(_choose_again, order, settings),
            accepted=partial(note_capture, order.run_id),
        )
        while True:
            outcome = await submitter.attempt(intent, destination_conf=destination, me=line.me)
            if isinstance(outcome, Started):
                if isinstance(request, FullRequest):
                    await _name_capture(order.run_id, outcome.capture.id)
                await line.started(outcome)
                return Submitted(outcome.intent, outcome.capture)
            if long := await line.wait(outcome):
                return long


async def _name_capture(run_id: str, capture_id: str) -> None:
    """Leave the capture's id at the run: a cancel reads it there while the archive is away."""
    async with get_client() as prefect:
        await prefect.update_flow_run_labels(UUID(run_id), {CAPTURE: capture_id})


async def _may_have_posted(order: CaptureOrder) -> bool:
    """Whether something may have been accepted for the order, so that it is not given up."""
    try:
        store = open_store(load_settings().archive(order.archive))
        record = await asyncio.to_thread(Journal(store).follow, order.intent_id)
    except StoreError:
        return True  # the journal cannot tell
    if record is None:
        return False
    return bool(record.accepted or record.unsettled)


async def _check_still_wanted(order: CaptureOrder) -> None:
    """Give up an order that is too late while a service is away, unless it may have been posted.

    Raises:
        WindowTooOld: Cloudflare no longer has the packets.
        TooLate: a full capture is late, and its order says to skip late ones.
    """
    if await _may_have_posted(order):
        return
    _check_time(order, load_settings().timing)
    if isinstance(order.request, SimpleRequest):
        ends = order.request.offset_time or order.scheduled
        check_window(order.request.model_copy(update={"offset_time": ends}), now=datetime.now(UTC))


def _check_time(order: CaptureOrder, timing: Timing) -> None:
    # A simple capture looks back: late or not, it brings the packets that it was meant to bring.
    if order.scheduled is None or order.if_late == "run" or not isinstance(order.request, FullRequest):
        return
    late = (datetime.now(UTC) - order.scheduled).total_seconds()
    if late > timing.late_after:
        raise TooLate(
            f"skipped: it was to start at {rfc3339(order.scheduled)}, {late / 60:.0f} minutes ago",
            where="if_late",
            hint="its deployment says to skip late ones; start it by hand if it is still wanted",
        )


async def _check_bucket(request: SimpleRequest | FullRequest, settings: Settings, client: Client) -> None:
    """Check, before a full capture is asked for, that its packets can be delivered and read."""
    if isinstance(request, FullRequest):
        bucket = settings.bucket(request.bucket)
        await asyncio.to_thread(open_store(bucket).check)
        await require_validated(client, bucket)


async def _choose(
    request: SimpleRequest | FullRequest, order: CaptureOrder, settings: Settings
) -> Choice | None:
    """The place of a full capture that names none; None for any other."""
    if not isinstance(request, FullRequest) or not request.chooses_place:
        return None
    from tasks.choose import choose_place  # noqa: PLC0415 - only these runs need it

    store = open_store(settings.archive(order.archive))
    return await choose_place(request, order.account, settings.account(order.account), store)


async def _choose_again(order: CaptureOrder, settings: Settings, intent: Intent) -> Choice | None:
    request = intent.request
    return await _choose(request.at(AUTO), order, settings) if isinstance(request, FullRequest) else None


async def _decide(
    order: CaptureOrder, settings: Settings, client: Client, run: FlowRun, choice: Choice | None
) -> Intent:
    # The window of an incident's capture ends at a time of its own.
    ends = order.scheduled
    if order.part and isinstance(order.request, SimpleRequest):
        ends = order.request.offset_time
    with suppress(*AWAY):  # then our own clock is the best that is known; the window is asked for later
        await client.list_captures()
    clock = settings.timing.server_clock(client.server_now)
    if ends and (early := clock.until(ends).total_seconds()) > 0:
        # A worker starts runs ahead of time, and the window that was meant ends when the run was scheduled.
        await asyncio.sleep(min(early, EARLIEST))
    # After an outage the window is that of its beginning: the capture was wanted then.
    now = outage.since if (outage := outage_of(run)) else clock.now()
    return decide(order, settings, now=now, choice=choice)


class _InLine:
    """A run that waits for its turn, as the other runs and the UI see it."""

    def __init__(
        self,
        client: Client,
        timing: Timing,
        queue: Queue,
        run: FlowRun,
        request: SimpleRequest | FullRequest,
    ) -> None:
        self._clock = timing.server_clock(client.server_now)
        self._timing = timing
        self._queue = queue
        self._run = run
        self._kind = request.type
        self._waiter = new_waiter(run.model_dump(mode="json"), request)
        self._said, self._said_reason = Waiting("", datetime.now(UTC), ""), ""
        self._waited = 0.0  # seconds, since it is the first

    @property
    def me(self) -> Waiter:
        """The run's place in line, as of now."""
        return replace(self._waiter, wakes=datetime.now(UTC))

    async def wait(self, turn: Admission) -> Waiting | None:
        """Wait for a turn that is near; if it is not, return until when to wait without a process."""
        nap = max(SHORTEST_NAP, self._clock.until_shown(turn.at).total_seconds())
        at = datetime.now(UTC) + timedelta(seconds=nap)
        reason = f"Waiting for the {self._kind} lane until {time_of_day(at)}Z: {turn.reason}"
        waiting = Waiting(WAITING_FOR_LANE, at, reason)
        await self._queue.join(self._run, self._waiter)
        is_first = not turn.ahead
        # The waits as the first in line count together: faster runs must not keep it waiting for ever.
        self._waited = self._waited if is_first else 0.0
        if self._waited + nap > max_inline_wait(self._run, is_first=is_first):
            return waiting if is_first else self._until_called(waiting)
        if turn.reason != self._said_reason or abs(at - self._said.at) > GRACE / 2:
            get_run_logger().info("%s", waiting.reason)
            await mark_waiting(self._run.id, waiting)
            self._said, self._said_reason = waiting, turn.reason
        nap = min(nap, LONGEST_NAP)
        self._waited += nap
        await asyncio.sleep(nap)
        return None

    def _until_called(self, expected: Waiting) -> Waiting:
        """Sleep until the runs ahead call this one. If nobody does, it comes by itself, but later.

        If it came at the expected time it would often find others still ahead: each turn takes a little
        longer than planned, and alerts go first.
        """
        wait = expected.at - datetime.now(UTC)
        later = min(wait, timedelta(seconds=self._timing.urgent_after))
        return replace(expected, at=expected.at + later)

    async def started(self, outcome: Started) -> None:
        """Leave the line, and call the next runs for their turns."""
        capture = outcome.capture
        log = get_run_logger()
        log.info("%s capture %s", "Adopted" if outcome.adopted else "Cloudflare accepted", capture.id)
        if outcome.intent.repeats and self._kind == "simple":
            log.warning(
                "Capture %s repeats intent %s: it is unknown whether that one was accepted, so its window "
                "is asked for again",
                capture.id,
                outcome.intent.repeats,
            )
        if self._said.name:
            await mark_running(self._run.id)
        await self._queue.leave(self._run)
        now = self._clock.now()
        free = ends(capture, now)
        if self._kind == "simple":
            free = (capture.submitted or now) + timedelta(seconds=self._timing.simple_spacing)
        wait = max(timedelta(), self._clock.until_shown(free))
        with suppress(*PASSING, httpx.HTTPError):  # the next run looks by itself, only later
            order = outcome.following
            if order is None:
                order = await self._queue.order(self._timing)
            await self._queue.call(order, at=datetime.now(UTC) + wait, clock=self._clock, timing=self._timing)
