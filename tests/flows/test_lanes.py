"""Waiting for a lane, as the runs of a real Prefect server show it."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from uuid import uuid4

import pytest
from prefect import flow, tags
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import State, StateType
from prefect.runtime import flow_run as this_run
from prefect.states import Pending, Scheduled

from edgecap.archive.journal import Journal
from edgecap.captures.order import CaptureOrder
from edgecap.captures.queue import GRACE, Priority, Waiter, slot_name
from edgecap.requests import Filter, FullRequest, SimpleRequest
from edgecap.settings import Timing, load_settings
from flows.capture import capture
from flows.reconcile import reconcile
from flows.register_bucket import register_bucket
from tasks.runtime.compat import Abort, run_here
from tasks.runtime.lane_queue import Queue
from tasks.runtime.lane_slot import lane_of
from tasks.runtime.rest import PrefectApi
from tasks.runtime.suspend import WAITING_FOR_LANE, Waiting, reschedule
from tasks.runtime.variables import write_variable
from tasks.submit import submit

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect 2")]

HOUR = timedelta(hours=1)
TIMING = Timing()
DNS = Filter(source_port=53, protocol=17)


@flow
async def nothing():
    """Something for runs to be of."""


async def history(client, run_id):
    return await client.read_flow_run_states(run_id)


async def run_of(client, state):
    return await client.read_flow_run(state.state_details.flow_run_id)


async def test_a_full_capture_waits_for_its_predecessor_and_says_so(world):
    await register_bucket()
    running = asyncio.create_task(
        capture(FullRequest(colo="ORD", time_limit=3000, filter=DNS), return_state=True)
    )
    while not (busy := world.posts()):  # noqa: ASYNC110 - the edge's log tells
        await asyncio.sleep(0.05)
    waiting = asyncio.create_task(
        capture(FullRequest(colo="ORD", time_limit=20, filter=DNS), return_state=True)
    )
    while not await Queue("full", load_settings().account().lanes).others(""):  # noqa: ASYNC110 - Prefect's server tells
        await asyncio.sleep(0.05)
    world.edge.stop(world.account_id, busy[0]["capture_id"])
    first, second = await running, await waiting
    assert (first.name, second.name) == ("Completed", "Completed")
    taken, freed = (
        [e for e in world.edge.log.events("state") if e["type"] == "full" and e.get("lane") == what]
        for what in ("taken", "free")
    )
    assert len(taken) == len(freed) == 2
    assert freed[0]["number"] < taken[1]["number"]
    assert not world.posts("refused")
    async with get_client() as client:
        states = [
            s for state in (first, second) for s in await history(client, state.state_details.flow_run_id)
        ]
        waits = [state for state in states if state.name == WAITING_FOR_LANE]
        assert waits
        said = re.compile(rf"Waiting for the full lane until \d\d:\d\d:\d\dZ: .*{taken[0]['capture_id']}")
        assert any(said.match(state.message) for state in waits), waits
        for state in (first, second):
            assert not [tag for tag in (await run_of(client, state)).tags if tag.startswith("waits for")]


async def test_first_runs_of_an_account_make_its_lane_at_the_same_time(prefect_server, monkeypatch):
    """Each sees that the limit is not there, and then one of them makes it."""
    looked = asyncio.Barrier(3)
    read = PrefectClient.read_global_concurrency_limit_by_name

    async def together(client, name):
        try:
            return await read(client, name)
        finally:
            await looked.wait()

    monkeypatch.setattr(PrefectClient, "read_global_concurrency_limit_by_name", together)
    lanes, order = uuid4().hex, []

    @flow
    async def enters(number: int) -> None:
        async with lane_of(lanes, myself=str(number))("full"):
            order.append(number)

    await asyncio.gather(*(enters(number) for number in range(3)))
    assert sorted(order) == [0, 1, 2]


async def test_an_alert_goes_before_runs_that_waited_longer(world, store):
    # Five minutes of the edge's are ten seconds here. Its clock stands until both are in line, but not before
    # the first capture is over: its run would ask for it thirty times a second, and all would get HTTP 429.
    world.write(timing={**world.tables["timing"], "simple_spacing": 300})

    async def take(tag):
        with tags(tag):
            return await capture(SimpleRequest(time_limit=5), return_state=True)

    async def in_line(count):
        while len(await Queue("simple", load_settings().account().lanes).others("")) < count:  # noqa: ASYNC110 - Prefect's server tells
            await asyncio.sleep(0.05)

    first = asyncio.create_task(take("first"))
    while not any(event.get("after") == "success" for event in world.edge.log.events("state")):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    with world.edge.clock.stopped():
        manual = asyncio.create_task(take("manual"))
        await in_line(1)
        alert = asyncio.create_task(take("alert"))
        await in_line(2)
    ended = [await first, await alert, await manual]
    assert [state.name for state in ended] == ["Completed"] * 3
    captures = {record.intent.run.split()[0]: record.capture_id for record in Journal(store).records()}
    wanted = [captures[str(state.state_details.flow_run_id)] for state in ended]
    assert [event["capture_id"] for event in world.posts()] == wanted


async def sleeps(client, queue, *, wakes=HOUR, waited=timedelta(), priority=Priority.MANUAL):
    """A run that waits in line, without a process."""
    now = datetime.now(UTC)
    made = await client.create_flow_run(nothing, state=Scheduled(scheduled_time=now + HOUR))
    await client.update_flow_run(made.id, infrastructure_pid="4242")
    run = await client.read_flow_run(made.id)
    await queue.join(run, Waiter(str(run.id), priority, now - waited, now + wakes))
    await reschedule(client, run.id, Waiting(WAITING_FOR_LANE, now + wakes, "busy"))
    return await client.read_flow_run(run.id)


async def wakes_at(client, run):
    return (await client.read_flow_run(run.id)).state.state_details.scheduled_time


async def call(queue, order=None, *, timing=TIMING):
    """Call the next runs now; the time before that."""
    now = datetime.now(UTC)
    clock = timing.server_clock(lambda: datetime.now(UTC))
    await queue.call(order or await queue.order(timing), at=now, clock=clock, timing=timing)
    return now


@pytest.fixture
async def client(prefect_server):
    async with get_client() as client:
        yield client


@pytest.fixture
def lanes():
    return uuid4().hex


@pytest.fixture
def queue(lanes):
    return Queue("full", lanes)


async def test_runs_of_another_account_are_not_in_line(client, queue):
    await sleeps(client, Queue("full", uuid4().hex))
    mine = await sleeps(client, queue)
    assert [waiter.name for waiter in await queue.others("")] == [str(mine.id)]
    assert mine.tags == ["waits for full lane"]


async def test_a_waiter_that_is_cancelled_ends_at_once(client, queue, prefect_server):
    """It has no process that could obey, so it must not stay `Cancelling`."""
    run = await sleeps(client, queue)
    with PrefectApi(prefect_server.prefect) as prefect:
        assert prefect.cancel(str(run.id)) == "Cancelled"
    assert await queue.others("") == []


async def test_a_run_that_sleeps_past_its_turn_is_woken(client, queue):
    run = await sleeps(client, queue)
    await call(queue)
    woken = (await client.read_flow_run(run.id)).state
    assert woken.name == WAITING_FOR_LANE
    assert woken.message == "busy"
    assert woken.state_details.scheduled_time <= datetime.now(UTC)


async def test_the_next_two_runs_are_called_each_for_its_turn(client):
    """If the first one dies before it calls the second, that one comes all the same."""
    queue = Queue("simple", uuid4().hex)
    runs = [await sleeps(client, queue, waited=timedelta(seconds=9 - number)) for number in range(3)]
    called = await call(queue)
    first, second, third = [await wakes_at(client, run) for run in runs]
    assert first <= datetime.now(UTC)
    assert timedelta(seconds=60) < second - called < timedelta(seconds=75)
    assert third == runs[2].state.state_details.scheduled_time
    # At the second one's turn, it is left alone, and the third is called.
    await call(queue)
    assert [await wakes_at(client, run) for run in runs[:2]] == [first, second]


async def test_a_run_that_was_cancelled_meanwhile_is_passed_over(client, queue, prefect_server):
    first, second = [await sleeps(client, queue, waited=timedelta(seconds=9 - n)) for n in range(2)]
    order = await queue.order(TIMING)
    assert [waiter.name for waiter in order] == [str(first.id), str(second.id)]
    with PrefectApi(prefect_server.prefect) as prefect:
        prefect.cancel(str(first.id))
    await call(queue, order)
    assert await wakes_at(client, second) <= datetime.now(UTC)


async def test_a_run_whose_worker_is_down_is_passed_over(client, queue):
    late = await sleeps(client, queue, waited=HOUR, wakes=timedelta())
    second = await sleeps(client, queue)
    [down] = [waiter for waiter in await queue.order(TIMING) if waiter.name == str(late.id)]
    down = replace(down, wakes=datetime.now(UTC) - GRACE - timedelta(seconds=5))
    [other] = await queue.others(str(late.id))
    await call(queue, [down, other])
    assert await wakes_at(client, second) <= datetime.now(UTC)


async def test_after_an_urgent_turn_the_next_goes_by_priority(client, queue, lanes):
    urgent = await sleeps(client, queue, waited=HOUR, priority=Priority.SCHEDULE)
    alert = await sleeps(client, queue, priority=Priority.ALERT)

    async def order():
        return [waiter.name for waiter in await queue.order(TIMING)]

    assert await order() == [str(urgent.id), str(alert.id)]
    await write_variable(slot_name("full", lanes), {"urgent": True})
    assert await order() == [str(alert.id), str(urgent.id)]


async def test_a_run_that_may_be_starting_is_left_alone(client, queue):
    run = await sleeps(client, queue, wakes=timedelta(seconds=12))
    await call(queue)
    assert (await client.read_flow_run(run.id)).state.id == run.state.id


async def test_the_line_knows_priority_age_and_when_each_will_look(client, queue):
    run = await sleeps(client, queue)
    [waiter] = await queue.others("")
    assert (waiter.name, waiter.priority) == (str(run.id), Priority.MANUAL)
    assert waiter.wakes == run.state.state_details.scheduled_time
    # Its worker was late, and the server gave it another name: it still stands in line.
    late = State[None](type=StateType.SCHEDULED, name="Late", state_details=run.state.state_details)
    await client.set_flow_run_state(run.id, late, force=True)
    assert [w.name for w in await queue.others("")] == [str(run.id)]
    assert await queue.others(str(run.id)) == []


async def test_a_run_behind_others_sleeps_past_its_expected_turn(world, client, deployment):
    """The others call it. If it came by itself in time, it would often find that they are still ahead."""
    world.write(timing={**world.tables["timing"], "simple_spacing": 3600})  # two minutes here
    assert (await capture(SimpleRequest(time_limit=5), return_state=True)).is_completed()
    await sleeps(client, Queue("simple", load_settings().account().lanes), waited=timedelta(seconds=9))
    began = datetime.now(UTC)
    run = await client.create_flow_run_from_deployment(deployment, state=Pending())
    with pytest.raises(Abort):
        await run_here(capture, run)
    state = (await client.read_flow_run(run.id)).state
    assert state.name == WAITING_FOR_LANE
    [until] = re.findall(r"until (\d\d:\d\d:\d\d)Z: ", state.message)
    expected = datetime.combine(began.date(), time.fromisoformat(until), UTC)
    expected += timedelta(days=1) if expected < began else timedelta()
    assert timedelta(minutes=2) < expected - began < timedelta(minutes=5)
    again = state.state_details.scheduled_time - began
    assert 1.8 * (expected - began) < again < 2.2 * (expected - began)


async def test_reconcile_calls_the_next_run_in_line(world, client):
    """The run before it may have died before it called."""
    run = await sleeps(client, Queue("simple", load_settings().account().lanes))
    await reconcile()
    assert await wakes_at(client, run) <= datetime.now(UTC)


async def test_a_late_full_capture_is_skipped_if_its_deployment_says_so(world):
    @flow
    async def late(if_late):
        scheduled = datetime.now(UTC) - HOUR
        request = FullRequest(colo="ORD", time_limit=5)
        return await submit(CaptureOrder(request, this_run.id, scheduled=scheduled, if_late=if_late))

    await register_bucket()
    skipped = await late("skip", return_state=True)
    assert "60 minutes ago" in skipped.message
    assert not world.posts()
    assert (await late("run", return_state=True)).is_completed()
    assert len(world.posts()) == 1
