"""Cloudflare, the archive or Prefect is away: the run waits without a process, and loses no window."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
import stamina
from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events.worker import EventsWorker
from prefect.exceptions import Abort
from prefect.flow_engine import run_flow
from prefect.runtime import flow_run as this_run
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from edgecap.archive.journal import Journal
from edgecap.captures.order import CaptureOrder
from edgecap.captures.outages import Outage
from edgecap.errors import NoPermission, ServerFailure, SetupError
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.simulator.faults import Fault
from flows.capture import capture
from flows.register_bucket import register_bucket
from tasks.poll import poll
from tasks.runtime.outage import OUTAGE
from tasks.runtime.prefect_away import crashed
from tasks.runtime.restart_policy import Recovery, judge
from tasks.runtime.run_or_suspend import run_or_suspend, run_or_suspend_accepted
from tasks.runtime.states import history_of_run
from tasks.runtime.suspend import Waiting, reschedule
from tasks.submit import submit
from tests.flaky_proxy import FlakyProxy
from tests.flows.test_cancelling import LONG

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]


@flow(name="submit without retries")
async def submitting(request, scheduled=None, if_late="run"):
    """The first step alone, whose task does not try again by itself."""
    once = submit.with_options(retries=0)
    order = CaptureOrder(request, this_run.id, scheduled=scheduled, if_late=if_late)
    return await run_or_suspend(once, order)


@flow(name="poll persistently")
async def polling(capture, request):
    order = CaptureOrder(request, this_run.id)
    return await run_or_suspend_accepted(poll.with_options(retries=0), order, capture)


@pytest.fixture
async def on_a_worker(prefect_server):
    """Runs a flow as a worker does, for which a service has been away for an hour already."""
    async with get_client() as client:
        pool = await client.create_work_pool(WorkPoolCreate(name=f"pool-{uuid4().hex}", type="process"))

        async def run(some_flow, *, of=None, **parameters):
            if of is None:
                flow_id = await client.create_flow(some_flow)
                deployment = await client.create_deployment(
                    flow_id, name=uuid4().hex, work_pool_name=pool.name
                )
                of = (await client.create_flow_run_from_deployment(deployment)).id
                now = datetime.now(UTC)
                outage = Outage(now - timedelta(hours=1), now - timedelta(minutes=1))
                await client.update_flow_run_labels(of, {OUTAGE: str(outage)})
            else:  # its time has come
                await reschedule(
                    client, UUID(str(of)), Waiting("WaitingForCloudflare", datetime.now(UTC), "")
                )
            started = await client.read_flow_run(UUID(str(of)))
            try:
                result = await run_flow(some_flow, started, parameters=parameters)
            except Abort:
                result = None
            return result, await client.read_flow_run(started.id)

        yield run


def downloads(world):
    return sum(event["path"].endswith("/download") for event in world.edge.log.events("request"))


def down(world, **fault):
    world.edge.faults.add(Fault(**{"kind": "error", "count": None, **fault}))


async def test_a_run_waits_for_cloudflare_without_a_process_and_keeps_its_window(world, store, on_a_worker):
    down(world)
    result, run = await on_a_worker(submitting, request=SimpleRequest(time_limit=5))
    assert result is None
    assert (run.state.type, run.state.name) == (StateType.SCHEDULED, "WaitingForCloudflare")
    assert "HTTP 503" in run.state.message
    assert run.state.state_details.scheduled_time > datetime.now(UTC) + timedelta(minutes=4)
    [record] = Journal(store).open()
    ends = record.intent.request.offset_time
    assert datetime.now(UTC) - ends > timedelta(
        minutes=59
    )  # when it was wanted, not when it was written down
    world.edge.faults.clear()
    result, _ = await on_a_worker(submitting, of=run.id, request=SimpleRequest(time_limit=5))
    assert result.intent.intent_id == record.intent.intent_id
    assert datetime.fromisoformat(world.posts()[0]["body"]["offset_time"]) == ends
    assert len(world.posts()) == 1


@flow
async def waiting(at):
    async def step():
        return Waiting("WaitingForCloudflare", at, "busy")

    await run_or_suspend(step)


async def test_a_suspended_run_is_scheduled_once_although_prefect_goes_away(
    prefect_server, on_a_worker, monkeypatch
):
    """When Prefect is back, a worker may have taken the run: two processes would come of a second time."""
    set_state, written, looked = PrefectClient.set_flow_run_state, [], []

    async def noted(client, run_id, state, **more):
        if state.type == StateType.SCHEDULED:
            written.append(run_id)
            if len(written) == 1:
                raise httpx.ConnectError("away")
        return await set_state(client, run_id, state, **more)

    async def away(_client, run_id):
        looked.append(run_id)
        raise httpx.ConnectError("away")

    monkeypatch.setattr(PrefectClient, "set_flow_run_state", noted)
    monkeypatch.setattr(PrefectClient, "read_flow_run_states", away)
    with stamina.set_testing(True, attempts=3), pytest.raises(httpx.ConnectError):
        await on_a_worker(waiting, at=datetime.now(UTC) + timedelta(hours=1))
    assert len(written) == 2  # the first one was not heard
    assert len(looked) == 3


async def test_a_run_waits_for_the_archive(world, on_a_worker):
    gone = {"uri": "s3://gone/archive?region=eu-west-1", "endpoint_url": "http://127.0.0.1:1"}
    world.write(**{"archives.default": {**gone, "access_key_id": "a", "secret_access_key": "b"}})
    result, run = await on_a_worker(submitting, request=SimpleRequest(time_limit=5))
    assert (result, run.state.name) == (None, "WaitingForArchive")
    assert "s3://gone/archive" in run.state.message
    assert not world.posts()


async def test_a_run_waits_for_a_folder_whose_disk_is_not_mounted(world, store, on_a_worker):
    """No person is there to correct a misspelt folder, and a worker checks it when it starts."""
    there = world.tables["archives.default"]
    world.write(**{"archives.default": {"uri": f"{there['uri']}-not-mounted"}})
    result, run = await on_a_worker(submitting, request=SimpleRequest(time_limit=5))
    assert (result, run.state.name) == (None, "WaitingForArchive")
    assert "does not exist" in run.state.message
    assert not world.posts()
    world.write(**{"archives.default": there})
    result, _ = await on_a_worker(submitting, of=run.id, request=SimpleRequest(time_limit=5))
    assert result.capture.id
    assert len(world.posts()) == 1


async def test_a_run_that_waits_for_the_archive_fetches_nothing_again(world, store, on_a_worker, monkeypatch):
    """Its later life takes over what the earlier one fetched, although it knows it by a new order."""

    async def away(*_):
        return Waiting("WaitingForArchive", datetime.now(UTC) + timedelta(hours=1), "away")

    with monkeypatch.context() as first_life:
        first_life.setattr("flows.capture.summarize", away)
        result, run = await on_a_worker(capture, request=SimpleRequest(time_limit=5))
    assert (result, run.state.name) == (None, "WaitingForArchive")
    before = downloads(world)
    result, _ = await on_a_worker(capture, of=run.id, request=SimpleRequest(time_limit=5), if_late="skip")
    assert result.packets > 0
    assert downloads(world) == before > 0


async def test_an_unwanted_late_full_capture_ends_its_wait(world, on_a_worker):
    await register_bucket()
    down(world)
    scheduled = datetime.now(UTC) - timedelta(hours=1)
    request = FullRequest(colo="ORD", time_limit=5)
    with pytest.raises(Exception, match="skipped: it was to start at"):
        await on_a_worker(submitting, request=request, scheduled=scheduled, if_late="skip")


async def test_after_acceptance_a_run_waits_for_a_working_token(world, on_a_worker):
    submitted, _ = await on_a_worker(submitting, request=SimpleRequest(time_limit=5))
    down(world, value=403)
    result, run = await on_a_worker(polling, capture=submitted.capture, request=SimpleRequest(time_limit=5))
    assert (result, run.state.name) == (None, "WaitingForCloudflare")
    with pytest.raises(NoPermission):
        await on_a_worker(submitting, request=SimpleRequest(time_limit=6))


async def test_the_patience_of_a_run_is_a_setting(world, on_a_worker):
    world.write(timing={**world.tables["timing"], "outage": 600})
    down(world)
    with pytest.raises(ServerFailure):
        await on_a_worker(submitting, request=SimpleRequest(time_limit=5))


@pytest.fixture
def cut_off(prefect_server, monkeypatch):
    """A run's way to Prefect, which breaks while it polls; it tries for seconds instead of minutes."""
    with FlakyProxy(prefect_server.port) as proxy:

        async def look_while_away(*args):
            proxy.away = True
            return await poll.with_options(retries=0)(*args)

        monkeypatch.setattr("flows.capture.poll", look_while_away)
        with temporary_settings({PREFECT_API_URL: f"{proxy.url}/api", PREFECT_CLIENT_MAX_RETRIES: 2}):
            yield proxy
        proxy.away = False
        EventsWorker.drain_all(timeout=60, at_exit=False)  # it would go on trying this address


async def test_a_run_that_prefect_fails_for_too_long_is_resumed(world, deployment, cut_off, monkeypatch):
    """Prefect is back when the run's end is to be told, so that it can be told as a failure."""
    away = crashed

    def back(*args):
        cut_off.away = False
        return away(*args)

    monkeypatch.setattr("flows.capture.crashed", back)
    await register_bucket()
    async with get_client() as client:
        run = await client.create_flow_run_from_deployment(deployment)
    state = await run_flow(capture, run, parameters={"request": LONG}, return_type="state")
    assert cut_off.went_off
    [post] = world.posts()
    assert state.type == StateType.CRASHED
    assert f"`edgecap cancel {post['capture_id']}` stops it" in state.message
    async with get_client() as client:
        history = await history_of_run(client, run.id)
    now = datetime.now(UTC)
    assert judge(history, now=now, gone=True, silent=False, can_restart=True) == Recovery.TAKE_UP


def test_a_terminal_that_prefect_leaves_alone_names_the_capture_that_goes_on(world, cut_off, capture_here):
    """Prefect does not come back, so that not even the run's end can be told."""
    asyncio.run(register_bucket())
    with pytest.raises(SetupError) as error:
        capture_here(LONG)
    [post] = world.posts()
    assert str(error.value).startswith("the Prefect server did not answer for minutes; full capture")
    assert f"{post['capture_id']} goes on at Cloudflare, and holds the lane" in str(error.value)
