"""The flow `reconcile` against a real Prefect server: dead runs, and what was left behind."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State, StateType
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from edgecap.archive.entries import list_entries
from edgecap.archive.journal import Journal
from edgecap.archive.verify import verify_entry
from edgecap.captures.intent import decide
from edgecap.captures.order import CaptureOrder
from edgecap.captures.posting import about_to_post
from edgecap.cloudflare.client import Client
from edgecap.requests import SimpleRequest
from edgecap.settings import load_settings
from flows.capture import capture
from flows.reconcile import free_lanes, reconcile, show_findings
from tasks.runtime.process_identity import this_process
from tasks.runtime.recovery import PROCESS, look_again, start_reconcile_for_dead, take_up
from tasks.runtime.restart_policy import MAX_LIVES, Recovery
from tasks.runtime.single_reconcile import (
    LOOKING,
    NOTHING_NEW,
    forget_overdue,
    forget_quiet,
    is_awaited,
    take_turn,
)
from tests.flaky_proxy import FlakyProxy
from tests.flows.conftest import forget_runs

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect 2")]


@pytest.fixture
def ended():
    """The mark of a process that has ended."""
    code = "from tasks.runtime.process_identity import this_process; print(this_process())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


async def set_state(client, run_id, kind):
    await client.set_flow_run_state(run_id, State[None](type=kind), force=True)


async def dead_run(client, ended, *, deployment=None, lives=1):
    """A run in its nth life that is shown as running, and whose process is gone."""
    if deployment:
        run = await client.create_flow_run_from_deployment(deployment)
    else:
        run = await client.create_flow_run(capture)
    for life in range(lives, 0, -1):
        await set_state(client, run.id, StateType.PENDING)
        await set_state(client, run.id, StateType.RUNNING)
        if life > 1:
            await set_state(client, run.id, StateType.CRASHED)
    await client.update_flow_run_labels(run.id, {PROCESS: ended})
    return run.id


@flow
async def taking_up():
    done = await take_up()
    began, ended = datetime.now(UTC), True
    while ended:
        since = datetime.now(UTC)
        more, ended = await look_again(
            since=since, until=began, deadline=began + timedelta(minutes=2), wanted=never
        )
        done += more
    return done


async def never():
    return False


async def start_by_a_worker_that_died(client, run_id):
    """Leave the run as a worker does that is killed while it starts it; a new one has its name."""
    pool = await client.create_work_pool(WorkPoolCreate(name=f"pool-{uuid4().hex}", type="process"))
    name = f"worker-{uuid4().hex}"
    await client.send_worker_heartbeat(pool.name, name)
    await client.update_flow_run_labels(
        run_id, {"prefect.worker.name": name, "prefect.work-pool.name": pool.name}
    )
    submitting = State[None](type=StateType.PENDING, name="Submitting")
    await client.set_flow_run_state(run_id, submitting, force=True)
    event = {
        "id": str(uuid4()),
        "event": "prefect.worker.started",
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {"prefect.resource.id": f"prefect.worker.process.{name}", "prefect.resource.name": name},
    }
    (await client.request("POST", "/events", json=[event])).raise_for_status()


async def test_what_a_dead_process_left_starts_reconcile(deployed, deployment, ended):
    forget_runs(deployed.prefect)
    async with get_client() as client:

        async def started():
            # Those that an automation of the server starts meanwhile have names of Prefect's.
            found = await client.read_flow_runs(flow_run_filter=FlowRunFilter(name={"any_": ["reconcile"]}))
            return {run.id for run in found}

        before = await started()
        await dead_run(client, str(this_process()), deployment=deployment)
        assert not await start_reconcile_for_dead(client)
        assert await started() == before
        await dead_run(client, ended, deployment=deployment)
        assert await start_reconcile_for_dead(client)
        assert len(await started() - before) == 1


async def test_a_run_that_a_process_claimed_before_it_died_starts_reconcile(deployed, deployment):
    forget_runs(deployed.prefect)
    async with get_client() as client:
        run = await client.create_flow_run_from_deployment(deployment)
        assert not await start_reconcile_for_dead(client)
        await set_state(client, run.id, StateType.PENDING)
        assert await start_reconcile_for_dead(client)


async def test_a_dead_run_is_taken_up_again_as_often_as_is_sensible(deployment, ended):
    async with get_client() as client:
        once = await dead_run(client, ended, deployment=deployment)
        too_often = await dead_run(client, ended, deployment=deployment, lives=MAX_LIVES)
        by_hand = await dead_run(client, ended)  # from a terminal: no worker could take it up
        unwanted = await dead_run(client, ended, deployment=deployment)
        await set_state(client, unwanted, StateType.CANCELLING)
        alive = await dead_run(client, str(this_process()), deployment=deployment)
        unborn = (await client.create_flow_run_from_deployment(deployment)).id
        await start_by_a_worker_that_died(client, unborn)
        upkeep = (await client.create_flow_run(reconcile)).id
        await start_by_a_worker_that_died(client, upkeep)
        ours = {str(run) for run in (once, too_often, by_hand, unwanted, alive, unborn, upkeep)}
        # They have only just begun: the same look waits until it can tell that they are dead.
        done = {each.run_id: each.verdict for each in await taking_up() if each.run_id in ours}
        assert done == {
            str(once): Recovery.TAKE_UP,
            str(too_often): Recovery.GIVE_UP,
            str(by_hand): Recovery.GIVE_UP,
            str(unwanted): Recovery.CANCEL,
            str(unborn): Recovery.TAKE_UP,
            str(upkeep): Recovery.GIVE_UP,
        }
        states = [
            (await client.read_flow_run(run)).state for run in (once, too_often, by_hand, unwanted, alive)
        ]
        assert [state.name for state in states] == [
            "WaitingForWorker",
            "Crashed",
            "Crashed",
            "Cancelled",
            "Running",
        ]
        assert states[0].state_details.scheduled_time <= datetime.now(UTC)
        assert not [each for each in await taking_up() if each.run_id in ours], "once is enough"


@flow
async def looking_again(since, until, deadline):
    return await look_again(since=since, until=until, deadline=deadline, wanted=never)


async def test_looking_again_ends_at_its_deadline_despite_new_crashes(prefect_server):
    """A run that crashes every few seconds would else keep one `reconcile` at work for ever."""
    began = datetime.now(UTC)
    hour = timedelta(hours=1)
    async with get_client() as client:
        run = await client.create_flow_run(capture)
        await set_state(client, run.id, StateType.RUNNING)
        await set_state(client, run.id, StateType.CRASHED)
        _, ended = await looking_again(began, began + hour, began + hour)
        assert ended
        async with asyncio.timeout(240):
            _, ended = await looking_again(began, began + hour, began)
        assert not ended


async def test_cancelled_runs_are_asked_for_again_where_prefect_is_busy(world, monkeypatch):
    """A capture that goes on must not wait for the next `reconcile`."""
    asked, read = [], PrefectClient.read_flow_runs

    async def busy(client, *, flow_run_filter, **more):
        if flow_run_filter.state and flow_run_filter.state.type.any_ == [StateType.CANCELLING]:
            asked.append(flow_run_filter)
            if len(asked) == 1:
                raise httpx.ConnectError("the server is being restarted")
        return await read(client, flow_run_filter=flow_run_filter, **more)

    monkeypatch.setattr(PrefectClient, "read_flow_runs", busy)
    assert "left behind" in await reconcile()
    assert len(asked) == 2


async def test_of_several_reconcilers_one_works_one_waits_and_the_others_leave(prefect_server):
    forget_runs(prefect_server.prefect)
    async with get_client() as client:
        pool = await client.create_work_pool(WorkPoolCreate(name=f"pool-{uuid4().hex}", type="process"))
        deployment = await client.create_deployment(
            await client.create_flow(reconcile), name=uuid4().hex, work_pool_name=pool.name
        )
        first, second, third = [
            (await client.create_flow_run_from_deployment(deployment)).id for _ in range(3)
        ]
        for run in (first, second, third):
            await set_state(client, run, StateType.RUNNING)
        assert await take_turn(str(first)) is None
        waiting = asyncio.create_task(take_turn(str(second), patience=600))
        assert await take_turn(str(third)) == str(second)
        assert await is_awaited(str(first))
        assert not waiting.done()
        for run in (first, third):
            quiet = State[None](type=StateType.COMPLETED, name=NOTHING_NEW)
            await client.set_flow_run_state(run, quiet, force=True)
        assert await waiting is None
        assert not await is_awaited(str(second))
        await forget_quiet(str(second))
        wanted = FlowRunFilter(deployment_id={"any_": [deployment]})
        assert {run.id for run in await client.read_flow_runs(flow_run_filter=wanted)} == {second}


async def test_overdue_scheduled_reconcile_runs_are_deleted(prefect_server):
    forget_runs(prefect_server.prefect)
    now = datetime.now(UTC)
    async with get_client() as client:
        pool = await client.create_work_pool(WorkPoolCreate(name=f"pool-{uuid4().hex}", type="process"))
        flow_id = await client.create_flow(reconcile)
        names = (uuid4().hex, uuid4().hex)
        ours, other = [
            await client.create_deployment(flow_id, name=name, work_pool_name=pool.name) for name in names
        ]

        async def scheduled(deployment, minutes, *tags):
            state = State[None](
                type=StateType.SCHEDULED, state_details={"scheduled_time": now + timedelta(minutes=minutes)}
            )
            made = await client.create_flow_run_from_deployment(deployment, state=state, tags=list(tags))
            return made.id

        overdue = [await scheduled(ours, -10 * number, "auto-scheduled") for number in range(1, 4)]
        kept = {
            await scheduled(ours, 10, "auto-scheduled"),
            await scheduled(ours, -10),  # a person's, or a trigger's
            await scheduled(other, -10, "auto-scheduled"),
        }
        me = (await client.create_flow_run_from_deployment(ours)).id
        await set_state(client, me, StateType.RUNNING)
        await forget_overdue(str(me))
        wanted = FlowRunFilter(deployment_id={"any_": [ours, other]})
        left = {run.id for run in await client.read_flow_runs(flow_run_filter=wanted)}
        assert left == {me, *kept}
        assert not left & set(overdue)


@pytest.mark.filterwarnings("ignore:Artifact creation outside:FutureWarning")
async def test_a_briefly_busy_prefect_server_does_not_end_reconcile(world, prefect_server):
    """It answers 503 while something else writes to its database."""
    with FlakyProxy(prefect_server.port) as proxy:
        address = {PREFECT_API_URL: f"{proxy.url}/api", PREFECT_CLIENT_MAX_RETRIES: 0}
        with temporary_settings(address):
            async with get_client() as client:
                run = (await client.create_flow_run(reconcile)).id
                steps = (
                    partial(take_turn, str(run)),
                    partial(forget_overdue, str(run)),
                    free_lanes,
                    partial(show_findings, [], ["the full lane was freed"], {}),
                    partial(forget_quiet, str(run)),
                )
                for number, step in enumerate(steps, 1):
                    proxy.busy = 1
                    await step()
                    assert proxy.went_off == number
                assert (await client.read_flow_run(run)).labels[LOOKING]


async def test_a_completed_run_stays_completed(world):
    state = await capture(SimpleRequest(time_limit=5), return_state=True)
    assert state.is_completed()
    async with get_client() as client:
        run_id = state.state_details.flow_run_id
        again = State[None](type=StateType.SCHEDULED, name="AwaitingRetry")
        await client.set_flow_run_state(run_id, again)
        assert (await client.read_flow_run(run_id)).state.is_completed()


async def test_a_dead_run_s_capture_is_brought_in_and_reported(world, store, prefect_server):
    """A run of a terminal, killed between the acceptance and its journalling."""
    settings = load_settings()
    async with Client(settings.account()) as client:
        order = CaptureOrder(SimpleRequest(time_limit=10), str(uuid4()), "lost")
        intent = decide(order, settings, now=world.edge.clock.now())
        Journal(store).begin(intent)
        about_to_post(Journal(store), Journal(store).find(intent.intent_id), await client.list_captures(), "")
        lost = await client.create_capture(dict(intent.body))
        while not (await client.get_capture(lost.id)).is_final:  # noqa: ASYNC110 - the edge's time
            await asyncio.sleep(0.1)
    line = await reconcile()
    assert "1 finished" in line
    [entry] = list_entries(store)
    assert entry.manifest.entry_id == lost.id
    assert verify_entry(store, entry) == []
    assert Journal(store).find(intent.intent_id).ended.outcome == "archived"
    assert len(world.posts()) == 1
    async with httpx.AsyncClient(
        base_url=prefect_server.api_url, headers=prefect_server.prefect.headers()
    ) as http:
        body = {"artifacts": {"key": {"any_": ["reconcile"]}}, "sort": "CREATED_DESC"}
        page = (await http.post("/artifacts/filter", json=body)).json()[0]["data"]
    assert lost.id in page or intent.intent_id in page
    assert await reconcile() == "nothing was left behind"


async def test_a_normal_run_leaves_nothing_behind(world, store):
    assert (await capture(SimpleRequest(time_limit=5), return_state=True)).is_completed()
    assert list(Journal(store).open()) == []
    assert await reconcile() == "nothing was left behind"
