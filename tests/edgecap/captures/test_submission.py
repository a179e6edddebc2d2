"""Submission against a running simulator: its own log says what was accepted, not edgecap."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Ended
from edgecap.captures.intent import decide
from edgecap.captures.lanes import Admission
from edgecap.captures.order import CaptureOrder
from edgecap.captures.polling import SHOWN_WITHIN, look
from edgecap.captures.posting import about_to_post
from edgecap.captures.queue import Priority, Waiter
from edgecap.captures.submission import Started, Submitter
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import CaptureFailed, NetworkFailure, RequestRefused, UnknownToApi
from edgecap.requests import FullRequest, SimpleRequest, rfc3339
from edgecap.settings import Account, Settings, Timing
from edgecap.simulator.clock import Clock
from edgecap.simulator.credentials import Credential
from edgecap.simulator.edge import Edge
from edgecap.simulator.faults import Faults, parse_fault
from edgecap.simulator.serve import SimulatorServer
from edgecap.simulator.traffic import SyntheticTraffic
from edgecap.simulator.variants import VARIANTS
from edgecap.stores.folder import FolderStore

ACCOUNT = "a" * 32
TOKEN = "a-token-for-the-tests"


class Stepped:
    """Seconds that pass only when they are told to, so that no busy machine makes a lane's minute pass."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


class World:
    """A simulated edge, an archive, and lanes that live in this process."""

    def __init__(self, server, folder, time):
        self.server, self.time = server, time
        self.edge = server.edge
        self.account = Account(account_id=ACCOUNT, api_token=SecretStr(TOKEN), base_url=server.base_url)
        folder.mkdir()
        self.archive = FolderStore(folder)
        self.journal = Journal(self.archive)
        self.timing = Timing()
        self.locks = {}
        self.memories = {}
        self.others = ()
        self.before_post = lambda: None

    @asynccontextmanager
    async def lane(self, kind):
        async with self.locks.setdefault(kind, asyncio.Lock()):
            world = self

            class Hold:
                memory = world.memories.get(kind)
                others = world.others

                async def remember(self, memory):
                    world.memories[kind] = memory
                    world.before_post()

            yield Hold()

    def intent(self, run, request=None, **fields):
        now = self.edge.clock.now()
        request = request or SimpleRequest(**{"time_limit": 5, **fields})
        return decide(CaptureOrder(request, run), Settings(), now=now)

    async def attempt(self, intent, me=None):
        async with Client(self.account, attempts=1) as client:
            submitter = Submitter(client, self.journal, self.lane, self.timing)
            return await submitter.attempt(intent, destination_conf=None, me=me)

    async def submit(self, intent):
        async with Client(self.account, attempts=1) as client:
            submitter = Submitter(client, self.journal, self.lane, self.timing)
            while True:
                outcome = await submitter.attempt(intent, destination_conf=None)
                if isinstance(outcome, Started):
                    return outcome
                await asyncio.sleep(0.01)  # the others' turn
                self.time.seconds += max(0.1, (outcome.at - self.edge.clock.now()).total_seconds())

    def accepted(self):
        return [line for line in self.edge.log.events("request") if posted(line, "accepted")]

    def refused(self):
        return [line for line in self.edge.log.events("request") if posted(line, "refused")]


def posted(line, outcome):
    return line["method"] == "POST" and line["path"].endswith("/pcaps") and line["outcome"] == outcome


@pytest.fixture
def world(tmp_path, request):
    faults, variant = getattr(request, "param", ([], "documented"))
    time = Stepped()
    edge = Edge(
        traffic=SyntheticTraffic(1, rate=1.0, attacks=()),
        buckets=lambda uri: FolderStore(tmp_path / "bucket"),
        credentials=[Credential("token", frozenset({ACCOUNT}), token=TOKEN)],
        clock=Clock(source=time),
        variant=VARIANTS[variant] if isinstance(variant, str) else variant,
        faults=Faults(map(parse_fault, faults)),
    )
    with SimulatorServer(edge) as server:
        yield World(server, tmp_path / "archive", time)


every_variant = pytest.mark.parametrize(
    "world", [([], name) for name in VARIANTS], indirect=True, ids=VARIANTS
)


@every_variant
async def test_two_intents_become_two_captures_a_minute_apart_under_every_plausible_api(world):
    await asyncio.gather(*(world.submit(world.intent(run)) for run in ("one", "two")))
    first, second = (datetime.fromisoformat(line["time"]) for line in world.accepted())
    assert (second - first).total_seconds() >= 60


@every_variant
async def test_an_intent_that_was_posted_by_a_life_that_died_is_adopted(world):
    """Killed between the acceptance and its journalling: the next life finds it in the list."""
    intent = world.journal.begin(world.intent("crashed"))
    async with Client(world.account) as client:
        listing = await client.list_captures()
        about_to_post(world.journal, world.journal.find(intent.intent_id), listing, "")
        lost = await client.create_capture(dict(intent.body))
    world.time.seconds += world.edge.variant.list_lag
    started = await world.submit(intent)
    assert started.adopted
    assert started.capture.id == lost.id
    assert len(world.accepted()) == 1


reset = pytest.mark.parametrize(
    "world", [(["reset,method=POST,path=*/pcaps,count=1"], "documented")], indirect=True
)


@reset
async def test_a_capture_whose_answer_was_lost_is_found_in_the_list(world):
    started = await world.submit(world.intent("reset"))
    assert started.adopted
    assert [line["capture_id"] for line in world.accepted()] == [started.capture.id]
    assert world.journal.find(world.intent("reset").intent_id).capture_id == started.capture.id


async def test_the_same_intent_twice_is_one_capture(world):
    intent = world.intent("same")
    first, second = await world.submit(intent), await world.submit(world.intent("same"))
    assert first.capture.id == second.capture.id
    assert len(world.accepted()) == 1


async def test_a_request_that_the_api_refuses_is_an_error(world):
    body = world.intent("bad").model_copy(update={"body": {"type": "simple", "system": "magic-transit"}})
    with pytest.raises(RequestRefused):
        await world.submit(body)
    assert not world.accepted()


async def test_a_refused_full_request_leaves_the_lane_as_it_was(world):
    """Nothing was accepted, so nobody behind it need wait for a minute."""
    intent = world.intent("refused", FullRequest(colo="ORD", time_limit=5))
    async with Client(world.account, attempts=1) as client:
        submitter = Submitter(client, world.journal, world.lane, world.timing)
        with pytest.raises(RequestRefused):  # nobody has registered the bucket
            await submitter.attempt(intent, destination_conf="s3://caps/full?region=us-east-1")
    assert world.memories["full"] is None
    assert world.journal.find(intent.intent_id).unsettled == ()


async def test_an_intent_that_was_given_up_is_never_posted(world):
    """Reconciled as never accepted, while its run was dead; then the run is started again by hand."""
    intent = world.journal.begin(world.intent("revived"))
    world.journal.end(
        intent.intent_id, Ended(outcome="never-accepted", reason="nobody took it up", at=datetime.now(UTC))
    )
    with pytest.raises(CaptureFailed, match="nobody took it up"):
        await world.submit(intent)
    assert not world.accepted()


async def test_a_busy_lane_is_a_wait_with_its_reason(world):
    await world.submit(world.intent("first"))
    async with Client(world.account) as client:
        submitter = Submitter(client, world.journal, world.lane, world.timing)
        turn = await submitter.attempt(world.intent("second"), destination_conf=None)
    assert isinstance(turn, Admission)
    assert "one a minute" in turn.reason
    assert turn.at > datetime.now(UTC)
    assert not world.refused()


@every_variant
async def test_a_refusal_because_somebody_was_faster_by_a_moment_is_a_wait(world):
    def somebody():
        world.before_post = lambda: None
        world.edge.create(ACCOUNT, dict(world.intent("somebody").body))

    world.before_post = somebody
    turn = await world.attempt(world.intent("ours"))
    assert isinstance(turn, Admission)
    assert not turn.now
    assert len(world.refused()) == 1
    assert (await world.submit(world.intent("ours"))).capture.id in [
        line["capture_id"] for line in world.accepted()
    ]


@pytest.mark.parametrize(
    "world",
    [(["reset,method=POST,path=*/pcaps,count=1"], replace(VARIANTS["documented"], list_lag=30.0))],
    indirect=True,
)
async def test_after_a_lost_answer_the_run_waits_for_the_list(world):
    turn = await world.attempt(world.intent("lost"))
    assert isinstance(turn, Admission)
    assert "not known before" in turn.reason
    assert (await world.submit(world.intent("lost"))).adopted
    assert len(world.accepted()) == 1


@pytest.mark.parametrize(("wakes", "goes_first"), [(1, False), (600, True)])
async def test_a_run_lets_an_alert_that_is_about_to_look_go_first(world, wakes, goes_first):
    now = datetime.now(UTC)
    world.others = (Waiter("alert", Priority.ALERT, now, now + timedelta(seconds=wakes)),)
    found = await world.attempt(world.intent("ours"), Waiter("ours", Priority.SCHEDULE, now, now))
    assert isinstance(found, Started) == goes_first
    if not goes_first:
        assert "another goes first, alert before all" in found.reason
        assert not world.accepted()


async def test_an_unreachable_edge_is_a_network_failure_and_keeps_the_intent(world, tmp_path):
    gone = World(world.server, tmp_path / "other", world.time)
    gone.account = gone.account.model_copy(update={"base_url": "http://127.0.0.1:1/client/v4"})
    intent = gone.intent("down")
    with pytest.raises(NetworkFailure):
        await gone.submit(intent)
    assert gone.journal.find(intent.intent_id).capture_id == ""


@pytest.mark.parametrize("world", [([], replace(VARIANTS["documented"], shown_after=30.0))], indirect=True)
async def test_a_capture_the_api_does_not_know_yet_counts_as_accepted(world):
    """For some minutes; then the API has forgotten it, or never took it."""
    started = await world.submit(world.intent("young"))
    async with Client(world.account) as client:
        assert (await look(client, started.capture)) == started.capture
        old = started.capture.submitted - SHOWN_WITHIN - timedelta(seconds=2)
        with pytest.raises(UnknownToApi):
            await look(client, Capture.model_validate({**started.capture.raw, "submitted": rfc3339(old)}))
        world.time.seconds += 31
        assert (await look(client, started.capture)).status != ""


async def test_who_asks_knows_the_capture_before_the_journal_does(world):
    """The journal's store may hang, and the capture is to be stopped all the same."""
    known = []

    class Watching(Journal):
        def accept(self, intent_id, capture_raw):
            assert known == [capture_raw["id"]]
            return super().accept(intent_id, capture_raw)

    journal = Watching(world.archive)
    intent = world.intent("first")
    async with Client(world.account, attempts=1) as client:
        submitter = Submitter(client, journal, world.lane, world.timing, accepted=known.append)
        started = await submitter.attempt(intent, destination_conf=None)
        next_life = []
        submitter = Submitter(client, world.journal, world.lane, world.timing, accepted=next_life.append)
        await submitter.attempt(intent, destination_conf=None)
    assert known == next_life == [started.capture.id] == [world.journal.find(intent.intent_id).capture_id]
