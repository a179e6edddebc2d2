"""Waiting for a lane, as the runs of a real Prefect server show it."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prefect import flow, tags
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import State, StateType
from prefect.runtime import flow_run as this_run
from prefect.states import Scheduled

from edgecap.archive.journal import Journal
from edgecap.captures.order import CaptureOrder
from edgecap.captures.queue import Priority, Waiter
from edgecap.requests import Filter, FullRequest, SimpleRequest
from edgecap.settings import load_settings
from flows.capture import capture
from flows.register_bucket import register_bucket
from tasks.runtime.lane_queue import Queue
from tasks.runtime.lane_slot import lane_of
from tasks.runtime.rest import PrefectApi
from tasks.runtime.suspend import WAITING_FOR_LANE, Waiting, reschedule
from tasks.submit import submit

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect 2")]

HOUR = timedelta(hours=1)
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
        assert any(taken[0]["capture_id"] in state.message for state in waits)
        for state in (first, second):
            assert not [tag for tag in (await run_of(client, state)).tags if tag.startswith("lane:")]


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


@pytest.fixture
async def sleeper(prefect_server):
    """A run that waits for a lane, without a process, for an hour."""
    async with get_client() as client:
        made = await client.create_flow_run(nothing, state=Scheduled(scheduled_time=datetime.now(UTC) + HOUR))
        await client.update_flow_run(made.id, infrastructure_pid="4242")
        queue = Queue("full", uuid4().hex)
        since = datetime.now(UTC)
        await queue.join(
            await client.read_flow_run(made.id), Waiter(str(made.id), Priority.MANUAL, since, since + HOUR)
        )
        await reschedule(client, made.id, Waiting(WAITING_FOR_LANE, since + HOUR, "busy"))
        yield client, queue, await client.read_flow_run(made.id)


async def test_a_waiter_that_is_cancelled_ends_at_once(sleeper, prefect_server):
    """It has no process that could obey, so it must not stay `Cancelling`."""
    _, queue, run = sleeper
    with PrefectApi(prefect_server.api_url) as prefect:
        assert prefect.cancel(str(run.id)) == "Cancelled"
    assert await queue.others("") == []


async def test_a_run_that_sleeps_past_its_turn_is_woken(sleeper):
    client, queue, run = sleeper
    now = datetime.now(UTC)
    await queue.call_next(at=now, patience=HOUR)
    woken = (await client.read_flow_run(run.id)).state
    assert woken.name == WAITING_FOR_LANE
    assert woken.message == "busy"
    assert woken.state_details.scheduled_time <= datetime.now(UTC)


async def test_a_run_that_may_be_starting_is_left_alone(sleeper):
    client, queue, run = sleeper
    soon = datetime.now(UTC) + timedelta(seconds=12)
    await reschedule(client, run.id, Waiting(WAITING_FOR_LANE, soon, "busy"))
    before = (await client.read_flow_run(run.id)).state
    await queue.call_next(at=datetime.now(UTC), patience=HOUR)
    assert (await client.read_flow_run(run.id)).state.id == before.id


async def test_the_line_knows_priority_age_and_when_each_will_look(sleeper):
    client, queue, run = sleeper
    [waiter] = await queue.others("")
    assert (waiter.name, waiter.priority) == (str(run.id), Priority.MANUAL)
    assert waiter.wakes == run.state.state_details.scheduled_time
    # Its worker was late, and the server gave it another name: it still stands in line.
    late = State[None](type=StateType.SCHEDULED, name="Late", state_details=run.state.state_details)
    await client.set_flow_run_state(run.id, late, force=True)
    assert [w.name for w in await queue.others("")] == [str(run.id)]
    assert await queue.others(str(run.id)) == []


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
