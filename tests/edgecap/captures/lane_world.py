"""A world for state machines, in this process and on a clock that only moves when it is told to.

The simulator's real edge behind its real ASGI app, a journal in a real folder, and lanes as Prefect guards
them: one holder at a time, and a dead holder's slot comes back when its lease is over. Attempts to submit can
be stopped, and killed, at any seam; only one of them moves at a time.
"""

import asyncio
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from edgecap.archive.journal import Journal
from edgecap.captures.intent import decide
from edgecap.captures.lanes import LastSubmission
from edgecap.captures.order import CaptureOrder
from edgecap.captures.queue import Priority
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.settings import Account, Settings, Timing
from edgecap.simulator.app import PREFIX, create_app
from edgecap.simulator.credentials import Credential
from edgecap.simulator.edge import Edge
from edgecap.simulator.envelope import Refused
from edgecap.simulator.faults import Faults
from edgecap.simulator.traffic.base import Packet
from edgecap.simulator.variants import Variant
from edgecap.stores.folder import FolderStore
from tests.edgecap.captures.lane_judge import Judge
from tests.edgecap.captures.lane_runs import LEASE, Attempt, Run
from tests.world import SetClock

ACCOUNT = "a" * 32
TOKEN = "a-token-for-the-tests"
BUCKET = "s3://captures/edge?region=us-east-1"
OTHER_BUCKET = "s3://captures/colleague?region=us-east-1"  # of a second archive, and of people
START = datetime(2026, 11, 23, 6, 30, 0, 250_000, tzinfo=UTC)
MOMENTS = timedelta(seconds=25)  # a living holder of a lane is not there for longer


class Quiet:
    """Traffic of one packet in any window."""

    link_type = 1

    def servers(self, colo):
        return [f"{colo.lower()}-s1"]

    def packets(self, start, end, *, colo=None):
        if start < end:
            yield Packet(int(start.timestamp()) * 1_000_000_000, bytes(60), "ord02-s1")

    def close(self):
        pass


@dataclass
class Slot:
    """A lane's one place."""

    holder: Attempt | None = None
    entered: datetime = START
    lease_ends: datetime | None = None
    memory: LastSubmission | None = None


class LaneWorld:
    """Everything around the attempts; its judge sees what the edge saw of them.

    Args:
        variant: which API it is.
    """

    timing = Timing()

    def __init__(self, variant: Variant):
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="edgecap-world-"))
        for name in ("bucket", "archive", "other"):
            (self.folder / name).mkdir()
        self.variant = variant
        self.buckets = (BUCKET, OTHER_BUCKET)
        self.seconds = 0.0
        self.skew, self.jumps = timedelta(), 0
        self.edge = Edge(
            traffic=Quiet(),
            buckets=lambda uri: FolderStore(self.folder / "bucket"),
            credentials=[Credential("token", frozenset({ACCOUNT}), token=TOKEN)],
            clock=SetClock(start=START, source=lambda: self.seconds),
            variant=variant,
            faults=Faults(seed=1),
        )
        self._asgi = httpx.ASGITransport(create_app(self.edge))
        self.account = Account(
            account_id=ACCOUNT, api_token=SecretStr(TOKEN), base_url=f"http://edge{PREFIX}"
        )
        self.stores = (FolderStore(self.folder / "archive"), FolderStore(self.folder / "other"))
        self.slots = {"simple": Slot(), "full": Slot()}
        self.runs: list[Run] = []
        self.attempts: list[Attempt] = []
        self.people: dict[str, str] = {}  # capture id to type
        self.flying: list[tuple[float, httpx.Request, Run, bool]] = []
        self.wire_trouble: list[Any] = []
        self.judge = Judge(self)
        for uri in self.buckets:
            self._register(uri)

    def close(self):
        for attempt in [attempt for attempt in self.attempts if not attempt.done]:
            attempt.die()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.edge.close()
        shutil.rmtree(self.folder)

    def now(self):
        return self.edge.clock.now()

    def machine_now(self):
        """The clock of the machine that edgecap runs on."""
        return self.now() + self.skew

    def run_loop(self, coroutine):
        self.judge.moved = True
        return self.loop.run_until_complete(coroutine)

    def record(self, run: Run):
        """What the journal knows of a run's intent, or of the one that asks for its window again."""
        return Journal(self.stores[run.archive]).follow(run.intent.intent_id)

    def decide(
        self, request: SimpleRequest | FullRequest, priority: Priority, *, ago: float = 0, archive: int = 0
    ) -> Run:
        now = self.now().replace(microsecond=0)  # of the header `Date`
        scheduled = now - timedelta(seconds=ago) if ago else None
        number = len(self.runs)
        intent = decide(CaptureOrder(request, f"run {number}", scheduled=scheduled), Settings(), now=now)
        run = Run(number, intent, priority, archive=archive)
        self.runs.append(run)
        return run

    def attempt(self, run: Run) -> Attempt:
        attempt = Attempt(self, run)
        self.attempts.append(attempt)
        return attempt

    def advance(self, seconds: float):
        """Let time pass; a living holder of a lane does not stay in it meanwhile."""
        for attempt in list(self.attempts):
            if attempt.in_lane:
                slot = self.slots[attempt.run.kind]
                if self.now() + timedelta(seconds=seconds) - slot.entered > MOMENTS:
                    attempt.go()
        self.run_loop(self.pass_time(seconds))

    async def pass_time(self, seconds):
        until = self.seconds + seconds
        while due := [flight for flight in self.flying if flight[0] <= until]:
            first = min(due, key=lambda flight: flight[0])
            self.flying.remove(first)
            at, request, run, late = first
            self.seconds = max(self.seconds, at)
            self.edge.tick()
            with suppress(httpx.HTTPError):  # its sender is gone
                await self.arrive(request, run, late=late)
        self.seconds = max(self.seconds, until)
        self.edge.tick()

    def jump(self, seconds: float):
        """The machine's clock jumps."""
        self.skew = timedelta(seconds=seconds)
        self.jumps += 1

    def person(self, body):
        """Somebody starts a capture in the dashboard."""
        try:
            made = self.edge.create(ACCOUNT, body)
        except Refused:
            return
        self.people[made["id"]] = body["type"]
        self.edge.tick()

    def crowd(self, body, count=52):
        """Others start 50 captures, faster than they may: the list shows nothing else."""
        spacing, self.edge.simple_spacing = self.edge.simple_spacing, 0
        for _ in range(count):
            self.person(body)
        self.edge.simple_spacing = spacing

    def fly(self, request, run, seconds):
        """The request arrives after `seconds`; its sender is gone."""
        late = seconds > LEASE.total_seconds()  # others may have had the lane meanwhile
        self.flying.append((self.seconds + seconds, request, run, late))

    def enter(self, slot, attempt):
        if slot.holder and not (slot.lease_ends and slot.lease_ends <= self.now()):
            return False
        slot.holder, slot.entered, slot.lease_ends = attempt, self.now(), None
        return True

    async def arrive(self, request, run, *, late=False):
        """The request reaches the edge; raises what httpx would if the connection breaks."""
        log = self.edge.log
        seen = log.events()[-1]["number"]
        before = self.edge.state()["captures"]
        try:
            response = await self._asgi.handle_async_request(request)
            await response.aread()
        except ConnectionResetError as error:
            raise httpx.ReadError(str(error)) from None
        finally:
            [event] = log.events("request", since=seen)
            if request.method == "POST":
                self.judge.post(run, event, before, late=late)
            elif request.url.path.endswith("/pcaps"):
                self.judge.looked[run] = self.now()
        return httpx.Response(response.status_code, headers=response.headers, content=response.content)

    def settle(self):
        """No more trouble: everybody goes on to the end; raise AssertionError if one does not get there."""
        self.edge.faults.clear()
        self.wire_trouble.clear()
        for _ in range(2 * len(self.attempts) + 2):
            for attempt in list(self.attempts):
                attempt.go()
            self.advance(LEASE.total_seconds())
        assert not self.attempts, f"{self.attempts} do not end"
        for _ in range(60 * len(self.runs)):
            waiting = [run for run in self.runs if not run.over]
            if not waiting:
                break
            run = min(waiting, key=self.wait_of)
            self.advance(self.wait_of(run))
            self.attempt(run).go()
        self.judge.check_ends()

    def wait_of(self, run):
        if run.wakes is None:
            return 0.0
        return min(max(0.0, (run.wakes - self.machine_now()).total_seconds()), 1200.0)

    def _register(self, uri):
        owned = self.edge.ownerships
        before = set((self.folder / "bucket").glob("ownership-challenge-*"))
        owned.create(ACCOUNT, {"destination_conf": uri})
        self.advance(self.variant.challenge_after + 1)
        [challenge] = set((self.folder / "bucket").glob("ownership-challenge-*")) - before
        answer = {"destination_conf": uri, "ownership_challenge": challenge.read_text()}
        owned.validate(ACCOUNT, answer)
        self.advance(self.variant.validation_takes + 1)
