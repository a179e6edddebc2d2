"""A Prefect server that stays away ends runs about an alert as crashed, and their next life loses nothing."""

import asyncio
import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import State, StateType
from prefect.events.worker import EventsWorker
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from edgecap.alerts.model import derive
from edgecap.alerts.policy.decision import decide, read_policy
from edgecap.incidents.incidents import Incidents
from flows.respond import respond
from flows.respond_to import respond_to
from tasks.enter_alert import enter_alert
from tasks.incident import start_captures
from tasks.runtime.prefect_away import crashed
from tasks.runtime.recovery import carry_out
from tasks.runtime.restart_policy import Recovery, judge
from tasks.runtime.states import history_of_run
from tests.deployments.conftest import attack
from tests.flaky_proxy import FlakyProxy
from tests.flows.test_respond import POLICY, alert
from tests.flows.test_respond_to import runs_of

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect 2")]

ONE_CAPTURE = POLICY.replace("after = 60", "after = 0").replace("seconds = 20", "seconds = 0")


@pytest.fixture
def away(deployed, monkeypatch):
    """A flow's way to Prefect, which breaks after a step of it, and is back when its end is to be told."""
    with FlakyProxy(deployed.port) as proxy:

        def breaks_after(flow, step):
            async def then_away(*args):
                done = await step(*args)
                if not proxy.went_off:
                    proxy.away = True
                    async with get_client() as client:
                        await client.read_flow_runs(limit=1)
                return done

            def back(*args):
                proxy.away = False
                return crashed(*args)

            monkeypatch.setattr(f"flows.{flow}.{step.fn.__name__}", then_away)
            monkeypatch.setattr(f"flows.{flow}.crashed", back)

        with temporary_settings({PREFECT_API_URL: f"{proxy.url}/api", PREFECT_CLIENT_MAX_RETRIES: 1}):
            yield breaks_after
        EventsWorker.drain_all(timeout=60, at_exit=False)  # it would go on trying this address


async def begin(flow, parameters):
    """The first life of a run that a worker could take up, which ends since Prefect is away; the run."""
    async with get_client() as client:
        pool = await client.create_work_pool(WorkPoolCreate(name=f"pool-{uuid4().hex}", type="process"))
        flow_id = await client.create_flow(flow)
        deployment = await client.create_deployment(flow_id, name=uuid4().hex, work_pool_name=pool.name)
        run = await client.create_flow_run_from_deployment(deployment, parameters=parameters)
        state = await run_flow(flow, run, parameters=parameters, return_type="state")
        assert state.type == StateType.CRASHED, state
        assert state.message.startswith("the Prefect server did not answer for minutes")
        run, history = await client.read_flow_run(run.id), await history_of_run(client, run.id)
        now = datetime.now(UTC)
        verdict = judge(history, now=now, gone=True, silent=False, can_restart=bool(run.work_queue_id))
        assert verdict == Recovery.TAKE_UP
        assert (await carry_out(client, run, verdict, history)).startswith("taken up again after crash 1")
        return await client.read_flow_run(run.id)


async def test_a_crashed_incident_run_is_finished_by_its_next_process(away, world, store):
    """What the first life started is not started again, and what comes of it is in the incident."""
    world.write(incidents={"close_after": 1})
    incident, given = derive(uuid4().hex), alert()
    parameters = {
        "incident": incident,
        "event": "start",
        "alert": given.model_dump(mode="json", exclude={"raw"}),
        "plan": decide(given, read_policy(ONE_CAPTURE)).model_dump(mode="json"),
    }
    away("respond", start_captures)
    run = await begin(respond, parameters)
    incidents = Incidents(store)
    began = incidents.opened(incident)
    assert incidents.closed(incident) is None
    [started] = await runs_of(incident)
    over = State[None](type=StateType.CANCELLED, message="somebody did not want it")
    async with get_client() as client:
        await client.set_flow_run_state(started.id, over, force=True)
    await asyncio.sleep((began.at - datetime.now(UTC)).total_seconds() + 1)  # `close_after`
    state = await run_flow(respond, run, parameters=parameters, return_type="state")
    assert state.is_completed(), state
    record = incidents.closed(incident)
    assert [(part.state, part.reason) for part in record.captures] == [
        ("missing", "somebody did not want it")
    ]
    later = [each for each in await runs_of(incident) if (each.idempotency_key or "").startswith("drops ")]
    assert len(later) == 2, "what the edge dropped is asked again, twice"
    assert [each.id for each in await runs_of(incident) if each not in later] == [started.id]


async def test_an_alert_whose_run_crashed_starts_one_incident_all_the_same(away, world, store):
    number = uuid4().int % 10_000
    parameters = {"source": "cloudflare", "payload": json.dumps(attack(number))}
    away("respond_to", enter_alert)
    run = await begin(respond_to, parameters)
    [incident] = Incidents(store).ids()
    [started] = await runs_of(incident)
    state = await run_flow(respond_to, run, parameters=parameters, return_type="state")
    assert state.is_completed(), state
    assert Incidents(store).ids() == [incident]
    assert [each.id for each in await runs_of(incident)] == [started.id]
