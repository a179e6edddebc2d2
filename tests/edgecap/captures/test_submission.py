"""Submission against a running simulator: its own log says what was accepted, not edgecap."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

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
from edgecap.settings import Settings, Timing
from edgecap.simulator.traffic import SyntheticTraffic
from edgecap.simulator.variants import VARIANTS
from tests.world import World, stepped_clock


class Submitting(World):
    """A world with lanes in this process; its clock moves only when a lane is waited for."""

    timing = Timing()

    def __init__(self, folder, **options):
        traffic = SyntheticTraffic(1, rate=1.0, attacks=())
        super().__init__(folder, clock=stepped_clock(), traffic=traffic, **options)
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
        async with self.client() as client:
            submitter = Submitter(client, self.journal, self.lane, self.timing)
            return await submitter.attempt(intent, destination_conf=None, me=me)

    async def submit(self, intent):
        async with self.client() as client:
            submitter = Submitter(client, self.journal, self.lane, self.timing)
            while True:
                outcome = await submitter.attempt(intent, destination_conf=None)
                if isinstance(outcome, Started):
                    return outcome
                await asyncio.sleep(0.01)  # the others' turn
                self.jump(max(0.1, (outcome.at - self.clock.now()).total_seconds()))


@pytest.fixture
def world(tmp_path, request):
    faults, variant = getattr(request, "param", ([], "documented"))
    with Submitting(tmp_path, variant=variant, faults=faults) as world:
        yield world


every_variant = pytest.mark.parametrize(
    "world", [([], name) for name in VARIANTS], indirect=True, ids=VARIANTS
)


@every_variant
async def test_two_intents_become_two_captures_a_minute_apart_under_every_plausible_api(world):
    await asyncio.gather(*(world.submit(world.intent(run)) for run in ("one", "two")))
    first, second = (datetime.fromisoformat(line["time"]) for line in world.posts())
    assert (second - first).total_seconds() >= 60


@every_variant
async def test_a_capture_posted_by_a_killed_process_is_adopted(world):
    """Killed between the acceptance and its journalling: the next life finds it in the list."""
    intent = world.journal.begin(world.intent("crashed"))
    async with Client(world.account) as client:
        listing = await client.list_captures()
        about_to_post(world.journal, world.journal.find(intent.intent_id), listing, "")
        lost = await client.create_capture(dict(intent.body))
    world.jump(world.edge.variant.list_lag)
    started = await world.submit(intent)
    assert started.adopted
    assert started.capture.id == lost.id
    assert len(world.posts()) == 1


reset = pytest.mark.parametrize(
    "world", [(["reset,method=POST,path=*/pcaps,count=1"], "documented")], indirect=True
)


@reset
async def test_a_capture_whose_answer_was_lost_is_found_in_the_list(world):
    started = await world.submit(world.intent("reset"))
    assert started.adopted
    assert [line["capture_id"] for line in world.posts()] == [started.capture.id]
    assert world.journal.find(world.intent("reset").intent_id).capture_id == started.capture.id


async def test_the_same_intent_twice_is_one_capture(world):
    intent = world.intent("same")
    first, second = await world.submit(intent), await world.submit(world.intent("same"))
    assert first.capture.id == second.capture.id
    assert len(world.posts()) == 1


async def test_a_request_that_the_api_refuses_is_an_error(world):
    body = world.intent("bad").model_copy(update={"body": {"type": "simple", "system": "magic-transit"}})
    with pytest.raises(RequestRefused):
        await world.submit(body)
    assert not world.posts()


async def test_a_refused_full_request_leaves_the_lane_as_it_was(world):
    """Nothing was accepted, so the next run need not wait for a minute."""
    intent = world.intent("refused", FullRequest(colo="ORD", time_limit=5))
    async with Client(world.account, attempts=1) as client:
        submitter = Submitter(client, world.journal, world.lane, world.timing)
        with pytest.raises(RequestRefused):  # the bucket is not registered
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
    assert not world.posts()


async def test_a_busy_lane_is_a_wait_with_its_reason(world):
    await world.submit(world.intent("first"))
    async with Client(world.account) as client:
        submitter = Submitter(client, world.journal, world.lane, world.timing)
        turn = await submitter.attempt(world.intent("second"), destination_conf=None)
    assert isinstance(turn, Admission)
    assert "one a minute" in turn.reason
    assert turn.at > datetime.now(UTC)
    assert not world.posts("refused")


@every_variant
async def test_a_refusal_because_another_was_faster_is_a_wait(world):
    def somebody():
        world.before_post = lambda: None
        world.edge.create(world.account_id, dict(world.intent("somebody").body))

    world.before_post = somebody
    turn = await world.attempt(world.intent("ours"))
    assert isinstance(turn, Admission)
    assert not turn.now
    assert len(world.posts("refused")) == 1
    assert (await world.submit(world.intent("ours"))).capture.id in [
        line["capture_id"] for line in world.posts()
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
    assert len(world.posts()) == 1


@pytest.mark.parametrize(("wakes", "goes_first"), [(1, False), (600, True)])
async def test_a_run_lets_an_alert_that_is_about_to_look_go_first(world, wakes, goes_first):
    now = datetime.now(UTC)
    world.others = (Waiter("alert", Priority.ALERT, now, now + timedelta(seconds=wakes)),)
    found = await world.attempt(world.intent("ours"), Waiter("ours", Priority.SCHEDULE, now, now))
    assert isinstance(found, Started) == goes_first
    if not goes_first:
        assert "another goes first, alert before all" in found.reason
        assert not world.posts()


@pytest.mark.parametrize(
    ("mine", "follow"), [(Priority.SCHEDULE, ["alert", "old"]), (Priority.ALERT, ["old", "alert"])]
)
async def test_a_start_tells_which_runs_follow_in_order(world, mine, follow):
    """After a turn that came only because of a long wait, the next one goes by priority."""
    now = datetime.now(UTC)
    later, hour = now + timedelta(minutes=10), timedelta(hours=1)
    world.others = (
        Waiter("old", Priority.SCHEDULE, now - hour, later),
        Waiter("alert", Priority.ALERT, now, later),
    )
    found = await world.attempt(world.intent("ours"), Waiter("ours", mine, now - 2 * hour, now))
    assert isinstance(found, Started)
    assert [waiter.name for waiter in found.following] == follow


async def test_an_unreachable_edge_is_a_network_failure_and_keeps_the_intent(world):
    world.account = world.account.model_copy(update={"base_url": "http://127.0.0.1:1/client/v4"})
    intent = world.intent("down")
    with pytest.raises(NetworkFailure):
        await world.submit(intent)
    assert world.journal.find(intent.intent_id).capture_id == ""


@pytest.mark.parametrize("world", [([], replace(VARIANTS["documented"], shown_after=30.0))], indirect=True)
async def test_a_capture_the_api_does_not_know_yet_counts_as_accepted(world):
    """For some minutes; then the API has forgotten it, or never took it."""
    started = await world.submit(world.intent("young"))
    async with Client(world.account) as client:
        assert (await look(client, started.capture)) == started.capture
        old = started.capture.submitted - SHOWN_WITHIN - timedelta(seconds=2)
        with pytest.raises(UnknownToApi):
            await look(client, Capture.model_validate({**started.capture.raw, "submitted": rfc3339(old)}))
        world.jump(31)
        assert (await look(client, started.capture)).status != ""


async def test_the_caller_learns_the_capture_before_the_journal_does(world):
    """The journal's store may hang, and the capture must be stopped nevertheless."""
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
