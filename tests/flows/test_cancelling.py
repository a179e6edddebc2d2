"""Cancelling at a real Prefect server a run that no worker looks after, judged by the edge's log."""

import asyncio
import logging
import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import State, StateType
from prefect.flow_engine import run_flow
from prefect.states import Scheduled

from deployments.canceller import ask_whether, tell_in_its_log
from edgecap.archive.journal import Journal
from edgecap.cli.cancelling import Cancelling
from edgecap.requests import Filter, FullRequest, SimpleRequest
from edgecap.settings import StoreLocation, load_settings
from edgecap.stores.pending_file import PendingFile
from flows.capture import capture
from flows.register_bucket import register_bucket
from tasks.runtime.cancelled import CAPTURE
from tasks.runtime.cancelling import RUNS
from tasks.runtime.lane_queue import Queue
from tasks.runtime.recovery import carry_out
from tasks.runtime.rest import PrefectApi
from tasks.runtime.restart_policy import Recovery, RunState, is_to_end
from tasks.runtime.states import history_of_run
from tasks.runtime.suspend import Waiting, mark_running, mark_waiting, reschedule, wake

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

HOUR = timedelta(hours=1)
LONG = FullRequest(colo="ORD", time_limit=30_000, filter=Filter(source_port=53, protocol=17))


async def wait_for(what):
    async with asyncio.timeout(240):
        while not (found := what()):  # noqa: ASYNC110 - logs and Prefect's server tell
            await asyncio.sleep(0.05)
    return found


def cancel(prefect_server, run_id):
    with PrefectApi(prefect_server.prefect) as prefect:
        return prefect.cancel(run_id)


def without_archive():
    """The settings, with an archive that is away."""
    away = {"default": StoreLocation(uri="file:/nowhere/archive")}
    return load_settings().model_copy(update={"archives": away})


@pytest.fixture
async def running(world):
    """A long full capture in this process: its flow, and its run's id."""
    await register_bucket()
    flow = asyncio.create_task(capture(LONG, return_state=True))
    await wait_for(world.posts)
    [run_id] = await wait_for(lambda: list(RUNS))
    yield flow, run_id
    flow.cancel()
    await asyncio.wait({flow})


async def test_a_cancelled_run_stops_its_capture_and_ends(world, store, prefect_server, running):
    flow, run_id = running
    assert cancel(prefect_server, run_id) == "Cancelling"
    state = await flow
    [post] = world.posts()
    assert state.type == StateType.CANCELLED
    assert (
        state.message
        == f"cancelled; Cloudflare was asked to stop full capture {post['capture_id']}, and accepted that"
    )
    assert world.stops() == [post["capture_id"]]
    with PrefectApi(prefect_server.prefect) as prefect:
        assert prefect.run(run_id)["state"]["type"] == "CANCELLED"
    [record] = Journal(store).records()
    assert record.ended is None  # `reconcile` fetches what Cloudflare kept


async def test_a_cancel_counts_whatever_state_the_run_writes_over_it(world, prefect_server, running):
    flow, run_id = running
    async with get_client() as client:
        for kind in (StateType.CANCELLING, StateType.RUNNING):
            await client.set_flow_run_state(UUID(run_id), State[None](type=kind), force=True)
    assert (await flow).type == StateType.CANCELLED
    assert len(world.stops()) == 1


@pytest.mark.parametrize(
    "world", [(("error,method=PUT,path=*/stop,count=always,value=503",), "documented")], indirect=True
)
async def test_a_failed_stop_is_reported_and_a_second_cancel_succeeds(
    world, prefect_server, running, monkeypatch
):
    """The run is over by then. Its label names the capture, even while the archive is away."""
    monkeypatch.setattr("tasks.runtime.cancelling.STOP_WITHIN", 2.0)
    flow, run_id = running
    with PrefectApi(prefect_server.prefect) as prefect:
        await wait_for(lambda: CAPTURE in prefect.run(run_id)["labels"])
    cancel(prefect_server, run_id)
    state = await flow
    assert state.type == StateType.CANCELLED
    assert "a full capture may go on at Cloudflare" in state.message
    assert "`edgecap reconcile` tries again" in state.message
    assert world.stops() == []
    world.edge.faults.clear()
    cancelling = Cancelling(without_archive(), "default", "default", prefect_server.prefect)
    said = await cancelling.cancel(run_id, yes=False)
    assert (said["state"], said["outcome"]) == ("Cancelled", "asked")
    [post] = world.posts()
    assert world.stops() == [post["capture_id"]]


async def test_a_run_s_label_names_its_capture_without_the_journal(world, prefect_server, running):
    flow, run_id = running
    with PrefectApi(prefect_server.prefect) as prefect:
        await wait_for(lambda: CAPTURE in prefect.run(run_id)["labels"])
    cancelling = Cancelling(without_archive(), "default", "default", prefect_server.prefect)
    said = await cancelling.cancel(run_id, yes=False)
    [post] = world.posts()
    assert said["capture_id"] == post["capture_id"]
    assert (await flow).type == StateType.CANCELLED
    assert world.stops() == [post["capture_id"]]


async def test_a_run_in_line_that_is_cancelled_never_posts(world, prefect_server, running):
    first, run_id = running
    waiting = asyncio.create_task(capture(LONG, return_state=True))
    queue = Queue("full", load_settings().account().lanes)
    async with asyncio.timeout(240):
        while not (others := await queue.others("")):  # noqa: ASYNC110 - Prefect's server tells
            await asyncio.sleep(0.05)
    cancel(prefect_server, others[0].name)
    state = await waiting
    assert (state.type, state.message) == (
        StateType.CANCELLED,
        "cancelled; no full capture of it runs at Cloudflare",
    )
    assert len(world.posts()) == 1
    assert world.stops() == []
    RUNS[run_id].detach()  # and the first one's process ends without it
    left = await first
    assert (left.type, left.name) == (StateType.CRASHED, "Left")
    assert world.stops() == []


async def test_a_simple_capture_in_line_that_is_cancelled_ends(world, prefect_server):
    world.write(timing={**world.tables["timing"], "simple_spacing": 6000})
    await capture(SimpleRequest(time_limit=5), return_state=True)
    waiting = asyncio.create_task(capture(SimpleRequest(time_limit=5), return_state=True))
    [run_id] = await wait_for(lambda: list(RUNS))
    cancel(prefect_server, run_id)
    assert (await waiting).type == StateType.CANCELLED
    assert len(world.posts()) == 1


async def sleeping(client, deployment, name="WaitingForLane"):
    """A run that sleeps for an hour, as it was read."""
    parameters = {"request": LONG.model_dump(mode="json")}
    run = await client.create_flow_run_from_deployment(deployment, parameters=parameters)
    await reschedule(client, run.id, Waiting(name, datetime.now(UTC) + HOUR, "busy"))
    return await client.read_flow_run(run.id)


async def test_a_sleeping_run_cancelled_while_it_is_called_stays_cancelled(prefect_server, deployment):
    """Each of our writes goes over a cancel that came after the run was read."""
    now = Waiting("WaitingForLane", datetime.now(UTC), "")
    async with get_client() as client:
        for write in (
            lambda run: wake(client, run, at=datetime.now(UTC)),
            lambda run: reschedule(client, run.id, now),
            lambda run: mark_waiting(run.id, now),
            lambda run: mark_running(run.id),
            lambda run: carry_out(client, run, Recovery.TAKE_UP, []),
        ):
            run = await sleeping(client, deployment)
            assert cancel(prefect_server, str(run.id)) == "Cancelled"
            said = await write(run)
            state = (await client.read_flow_run(run.id)).state
            assert state.type == StateType.CANCELLED
            assert is_to_end(await history_of_run(client, run.id))
            assert said in (False, None, state, "its process is gone, so it is cancelled")
        assert not await wake(client, await client.read_flow_run(run.id), at=datetime.now(UTC))
        sleeper = await sleeping(client, deployment)
        await client.delete_flow_run(sleeper.id)
        assert not await wake(client, sleeper, at=datetime.now(UTC))


async def test_a_dead_run_cancelled_while_it_is_taken_up_is_cancelled(prefect_server, deployment):
    async with get_client() as client:
        run = await sleeping(client, deployment)
        await client.set_flow_run_state(run.id, State[None](type=StateType.RUNNING), force=True)
        seen = await client.read_flow_run(run.id)
        assert cancel(prefect_server, str(run.id)) == "Cancelling"
        done = await carry_out(client, seen, Recovery.TAKE_UP, await history_of_run(client, run.id))
        assert done == "its process is gone, so it is cancelled"
        assert (await client.read_flow_run(run.id)).state.type == StateType.CANCELLED


async def test_a_run_whose_cancel_was_written_over_posts_nothing(world, store, prefect_server, deployment):
    """The writer that overwrote the cancel dies before it looks; then the run is resumed."""
    async with get_client() as client:
        run = await sleeping(client, deployment)
        cancel(prefect_server, str(run.id))
        again = State[None](type=StateType.SCHEDULED, name="WaitingForLane")
        await client.set_flow_run_state(run.id, again)
        await client.set_flow_run_state(run.id, State[None](type=StateType.PENDING))
        run = await client.read_flow_run(run.id)
        assert run.state.type == StateType.PENDING
        state = await run_flow(capture, flow_run=run, return_type="state", parameters={"request": LONG})
    assert state.type == StateType.CANCELLED
    assert world.posts() == []
    assert list(Journal(store).records()) == []  # nothing at all was begun


async def test_a_run_cancelled_while_it_gives_its_process_back_stops_its_capture(
    world, prefect_server, deployment, monkeypatch
):
    """Prefect refuses to schedule what is `Cancelling`, and this process is the only one of the run."""
    monkeypatch.setattr("tasks.poll.max_inline_wait", lambda _run: 0.0)
    given_back = PrefectClient.request

    async def cancelled_before(client, method, route, **more):
        if method == "PATCH" and (more.get("json") or {}).keys() == {"infrastructure_pid"}:
            await asyncio.to_thread(cancel, prefect_server, str(more["path_params"]["id"]))
        return await given_back(client, method, route, **more)

    monkeypatch.setattr(PrefectClient, "request", cancelled_before)
    await register_bucket()
    async with get_client() as client:
        run = await client.create_flow_run_from_deployment(deployment)
        await client.set_flow_run_state(run.id, State[None](type=StateType.PENDING), force=True)
        run = await client.read_flow_run(run.id)
    state = await run_flow(capture, flow_run=run, return_type="state", parameters={"request": LONG})
    [post] = world.posts()
    assert state.type == StateType.CANCELLED
    assert world.stops() == [post["capture_id"]]


async def test_the_canceller_reads_run_states_and_writes_to_run_logs(prefect_server):
    """What the canceller does at Prefect besides looking."""
    async with get_client() as client:
        ended = State(type=StateType.CANCELLED, name="Cancelled")
        run = await client.create_flow_run(capture, parameters={"request": {"type": "full"}}, state=ended)
        run_id = str(run.id)
        with PrefectApi(prefect_server.prefect) as prefect:
            still = ask_whether(prefect)
            assert await still(run_id)
            await tell_in_its_log(prefect)(run_id, "stopping its capture is given up", logging.ERROR)
            body = {"logs": {"flow_run_id": {"any_": [run_id]}}}
            [line] = prefect.call("POST", "/logs/filter", json=body)
            assert (line["message"], line["level"]) == ("stopping its capture is given up", logging.ERROR)
            await client.set_flow_run_state(run.id, Scheduled(), force=True)
            assert not await still(run_id)
            await client.delete_flow_run(run.id)
            assert not await still(run_id)


async def test_a_crashed_run_is_cancelled_at_once_and_not_resumed(prefect_server):
    crashed = State(type=StateType.CRASHED, name="Crashed")
    async with get_client() as client:
        run = await client.create_flow_run(capture, parameters={"request": {"type": "full"}}, state=crashed)
        with PrefectApi(prefect_server.prefect) as prefect:
            assert prefect.cancel(str(run.id)) == "Cancelled"
        states = await client.read_flow_run_states(run.id)
    assert is_to_end(RunState(state.type.value, state.timestamp, state.name or "") for state in states)


def test_ctrl_c_during_a_slow_write_is_a_cancel_in_prefect(world, prefect_server, capture_here, monkeypatch):
    """A disk that hangs keeps the run's thread from saying anything, and then the process ends."""
    began, may_end = threading.Event(), threading.Event()
    write = PendingFile.write

    def slow(landing, chunk):
        began.set()
        assert may_end.wait(240)
        write(landing, chunk)

    monkeypatch.setattr(PendingFile, "write", slow)
    monkeypatch.setattr("edgecap.cli.running.REPORTED", 2.0)
    monkeypatch.setenv("PREFECT_API_URL", prefect_server.api_url)
    threading.Thread(target=lambda: began.wait(240) and os.kill(os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt, match="interrupted"):
            capture_here(SimpleRequest(time_limit=5))
        with PrefectApi(prefect_server.prefect) as prefect:
            [run] = prefect.cancelling("capture")
    finally:
        may_end.set()
        for thread in threading.enumerate():
            if thread.name == "capture":
                thread.join()
    with PrefectApi(prefect_server.prefect) as prefect:
        assert prefect.run(run["id"])["state"]["type"] == "CANCELLED"
