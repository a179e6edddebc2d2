"""The runs of `lane_world`: their lives try to submit, and can be stopped, and killed, at any seam.

A life gets lanes as Prefect guards them: one holder at a time, and a dead holder's slot comes back when its
lease is over.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import httpx

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Intent
from edgecap.captures.lanes import LastSubmission
from edgecap.captures.queue import Priority, Waiter
from edgecap.captures.submission import Started, Submitter
from edgecap.cloudflare.client import Client
from edgecap.errors import ApiError, OutcomeUnknown, WindowTooOld

LEASE = timedelta(seconds=60)
FLIGHTS = {"in flight": 7.0, "late": 100.0}  # seconds that the POST of a dead life is under way

POINTS = (
    "before find",
    "before begin",
    "after begin",
    "before lane",
    "in lane",
    "before GET",
    "after GET",
    "before remember",
    "after remember",
    "before posting",
    "after posting",
    "before POST",
    "after POST",
    "before accept",
    "after accept",
)
"""Where an attempt can be stopped, and killed."""


class Killed(BaseException):
    """The process is gone: no code of it runs on, except what the operating system and a lease do."""


@dataclass(eq=False)
class Run:
    """A flow run: an intent, and its place in line. Times are on the machine's clock."""

    number: int
    intent: Intent
    priority: Priority
    since: datetime | None = None
    wakes: datetime | None = None
    jumps: int = 0  # how often the clock had jumped when `wakes` was set
    started: Started | None = None
    too_old: bool = False
    unknown: bool = False  # a person must find out what became of its POST
    archive: int = 0
    trouble: ApiError | None = None  # of its last attempt

    @property
    def kind(self):
        return self.intent.request.type

    @property
    def over(self):
        return bool(self.started) or self.too_old or self.unknown

    def as_waiter(self, now):
        holds = timedelta(seconds=self.intent.request.time_limit if self.kind == "full" else 0)
        return Waiter(str(self.number), self.priority, self.since or now, self.wakes or now, holds)


@dataclass
class Hold:
    """The lane while an attempt holds it."""

    attempt: "Attempt"
    memory: LastSubmission | None
    others: Sequence[Waiter]
    seen: Sequence[tuple[Run, datetime, int]] = field(default_factory=tuple)

    async def remember(self, memory):
        self.attempt.claim(self.seen)
        await self.attempt.gate("before remember")
        self.attempt.world.slots[self.attempt.run.kind].memory = memory
        await self.attempt.gate("after remember")


class GatedJournal(Journal):
    """A journal at which an attempt can be stopped."""

    def __init__(self, attempt):
        super().__init__(attempt.world.stores[attempt.run.archive])
        self._attempt = attempt

    def find(self, intent_id):
        self._attempt.thread_gate("before find")
        return super().find(intent_id)

    def begin(self, intent):
        self._attempt.thread_gate("before begin")
        found = super().begin(intent)
        self._attempt.thread_gate("after begin")
        return found

    def post(self, intent_id, posting):
        self._attempt.thread_gate("before posting")
        super().post(intent_id, posting)
        self._attempt.thread_gate("after posting")

    def accept(self, intent_id, capture_raw):
        self._attempt.thread_gate("before accept")
        found = super().accept(intent_id, capture_raw)
        self._attempt.thread_gate("after accept")
        return found


class Wire(httpx.AsyncBaseTransport):
    """What an attempt's requests travel on."""

    def __init__(self, attempt):
        self._attempt = attempt

    async def handle_async_request(self, request):
        attempt, world = self._attempt, self._attempt.world
        attempt.request = request
        await attempt.gate(f"before {request.method}")
        trouble = world.wire_trouble.pop(0) if world.wire_trouble else None
        if trouble == "refused":
            raise httpx.ConnectError("connection refused")
        if trouble is not None and request.method == "POST":
            world.fly(request, attempt.run, trouble)
            raise httpx.ReadTimeout("no answer in time")
        response = await world.arrive(request, attempt.run)
        await attempt.gate(f"after {request.method}")
        return response


class Attempt:
    """One life of a run that tries to submit, up to where it is stopped."""

    def __init__(self, world, run):
        self.world, self.run = world, run
        self.at = ""
        self._stops: Callable[[str], bool] = lambda _: False
        self._task = self._gate = self._parked = None
        self.request = None
        self._claimed = False
        self.since = world.machine_now()

    def __repr__(self):
        return f"<Attempt of {self.run.number} [{self.at or 'new'}]>"

    @property
    def done(self):
        return self._task is not None and self._task.done()

    @property
    def in_lane(self):
        return self.world.slots[self.run.kind].holder is self

    def go(self, point="", nth=1):
        """Run on to the nth time that it comes to `point`, to a lane that is taken, or to its end."""
        left = nth

        def stops(name):
            nonlocal left
            left -= name == point
            return name == point and left == 0

        self._stops = stops
        self.world.run_loop(self._go())
        if self.done:
            self.world.attempts.remove(self)
            self._task.result()

    def die(self, how="killed"):
        """End it where it stands.

        "killed": nothing of it goes on. "in flight", "late": the POST that it was about to make arrives all
        the same, later. "cancelled": the slot is given back in good order, if its own code can do so.
        """
        if how in FLIGHTS and self.at == "before POST":
            self.world.fly(self.request, self.run, FLIGHTS[how])
        self.world.run_loop(self._end(cancel=how == "cancelled" and self.at in ASYNC_POINTS))
        self.world.attempts.remove(self)

    async def _go(self):
        loop = asyncio.get_running_loop()
        self._parked = loop.create_future()
        if self._task is None:
            self._task = loop.create_task(self._attempt())
        else:
            self._gate.set_result(None)
        await asyncio.wait({self._task, self._parked}, return_when=asyncio.FIRST_COMPLETED)

    async def _end(self, *, cancel):
        self._stops = lambda _: False
        if cancel:
            self._task.cancel()
        else:
            self._gate.set_exception(Killed())
        await asyncio.wait({self._task})
        if not self._task.cancelled() and not isinstance(self._task.exception(), Killed):
            self._task.result()

    async def gate(self, name, *, always=False):
        """Stop here if this is where to stop."""
        if always or self._stops(name):
            self.at = name
            self._gate = asyncio.get_running_loop().create_future()
            self._parked.set_result(None)
            await self._gate

    def thread_gate(self, name):
        """The same from a thread."""
        if self._stops(name):
            self._stops = lambda _: True
            asyncio.run_coroutine_threadsafe(self.gate(name), self.world.loop).result()

    def claim(self, seen):
        """The attempt is about to post: judge whether it is its turn."""
        if not self._claimed:
            self._claimed = True
            self.world.judge.turn(self.run, self.since, seen)

    @asynccontextmanager
    async def lane(self, kind):
        await self.gate("before lane")
        slot = self.world.slots[kind]
        while not self.world.enter(slot, self):
            await self.gate("lane taken", always=True)
        try:
            await self.gate("in lane")
            seen = [
                (run, run.wakes, run.jumps)
                for run in self.world.runs
                if run is not self.run and run.kind == kind and run.since and not run.over
            ]
            now = self.world.machine_now()
            yield Hold(self, slot.memory, [run.as_waiter(now) for run, _, _ in seen], seen)
        except Killed:
            slot.lease_ends = self.world.now() + LEASE
            raise
        except BaseException:
            slot.holder = None
            raise
        slot.holder = None

    async def _attempt(self):
        world, run = self.world, self.run
        wire = Wire(self)
        async with Client(
            world.account,
            transport=wire,
            sleep=world.pass_time,
            clock=world.machine_now,
            rng=random.Random(run.number),
        ) as client:
            submitter = Submitter(
                client,
                GatedJournal(self),
                self.lane,
                world.timing,
                clock=world.machine_now,
                monotonic=lambda: world.seconds,
            )
            now, run.trouble = world.machine_now(), None
            me = replace(run.as_waiter(now), wakes=now)
            self.since = me.since
            destination = world.buckets[run.archive] if run.kind == "full" else None
            try:
                outcome = await submitter.attempt(run.intent, destination_conf=destination, me=me)
            except WindowTooOld:
                run.too_old = True
                return
            except OutcomeUnknown:
                run.unknown = True
                return
            except ApiError as error:
                run.trouble = error
                wait = 10.0
            else:
                if isinstance(outcome, Started):
                    world.judge.start(run, outcome)
                    run.started = outcome
                    return
                wait = max(0.1, (outcome.at - client.server_now()).total_seconds())
            now = world.machine_now()
            run.since = run.since or now
            run.wakes, run.jumps = now + timedelta(seconds=wait), world.jumps


ASYNC_POINTS = frozenset(
    point
    for point in (*POINTS, "lane taken")
    if point.split()[-1] not in ("find", "begin", "posting", "accept")
)
