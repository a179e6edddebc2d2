"""Alerts that became incidents: the flow `respond` in the warm process, against a real Prefect server.

What was captured is judged from the simulated edge's log and the archive's bytes.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import TaskRunFilter
from prefect.client.schemas.objects import State, StateType

from edgecap.alerts.model import Alert, derive
from edgecap.alerts.policy.decision import decide, read_policy
from edgecap.archive.entries import list_entries, read_entry
from edgecap.archive.verify import verify_entry
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.overview import Overviews
from flows.register_bucket import register_bucket
from tasks.runtime.alert_runs import incident_tag
from tasks.runtime.rest import PrefectApi
from tests.flows.conftest import UNFINISHED, forget_runs

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect 2")]

POLICY = """
[[rules]]
name = "test"
before = 240
after = 60
filter = {}
[rules.during]
seconds = 20
colos = ["ORD"]
"""


def alert(event="start", *, ago=timedelta(), **more):
    """An attack on an address of the simulated edge's."""
    now = datetime.now(UTC)
    started = now - ago
    facts = {
        "source": "generic", "kind": "flood", "event": event, "severity": "high", "received": now,
        "identity": derive(event, uuid4().hex), "incident": derive("attack"), "started": started,
    }  # fmt: skip
    return Alert(**facts, **({"ended": now - timedelta(seconds=90)} if event == "end" else {}), **more)


async def send(deployed, warm, incident, given, policy=POLICY, *, event=""):
    """Start `respond` as the receiver does; the run's id. By default the event is the alert's."""
    event = event or given.event
    plan = decide(given, read_policy(policy))
    async with get_client() as client:
        deployment = await client.read_deployment_by_name("respond/incident-response")
        run = await client.create_flow_run_from_deployment(
            deployment.id,
            parameters={
                "incident": incident,
                "event": event,
                "alert": given.model_dump(mode="json", exclude={"raw"}),
                "plan": plan.model_dump(mode="json"),
            },
            tags=["alert", incident_tag(incident)],
            state=State[None](type=StateType.SCHEDULED),
            idempotency_key=f"{incident} {event} {given.identity}",
        )
    await tell(warm, run.id)
    return run.id


async def tell(warm, run_id):
    """Tell the warm process of a run."""
    async with httpx.AsyncClient() as client:
        (await client.post(f"{warm}/runs/{run_id}")).raise_for_status()


async def ended(run_id, seconds=120):
    """The run's final state."""
    deadline = time.monotonic() + seconds
    async with get_client() as client:
        while True:
            run = await client.read_flow_run(UUID(str(run_id)))
            if run.state.is_final():
                return run.state
            assert time.monotonic() < deadline, run.state
            await asyncio.sleep(0.2)


async def test_an_attack_is_shown_from_before_its_start_to_after_its_end(deployed, warm, world, store):
    await register_bucket()
    incident = derive(uuid4().hex)
    start = await send(deployed, warm, incident, alert())
    incidents = Incidents(store)
    deadline = time.monotonic() + 240
    while len(list(list_entries(store))) < 2:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    assert incidents.closed(incident) is None
    end = await send(deployed, warm, incident, alert("end", ago=timedelta(seconds=120)))
    assert (await ended(end)).is_completed()
    assert (await ended(start)).is_completed()
    record = incidents.closed(incident)
    assert [(part.phase, part.state) for part in record.captures] == [
        ("before", "archived"),
        ("during", "archived"),
        ("after", "archived"),
    ]
    assert record.ended
    assert record.rule == "test"
    for part in record.captures:
        entry = read_entry(store, part.entry)
        assert verify_entry(store, entry) == []
        assert entry.manifest.intent["incident"] == incident
        assert entry.manifest.totals.packets == part.packets
    intents = {}
    for journalled in world.journal.records():
        intents.setdefault(journalled.capture_id, []).append(journalled.intent)
    accepted = {post["capture_id"]: intents.get(post["capture_id"], []) for post in world.posts()}
    assert len(accepted) == 3
    assert sorted(intent.intent_id for [intent] in accepted.values()) == sorted(
        read_entry(store, part.entry).manifest.intent["intent_id"] for part in record.captures
    )


async def test_a_test_s_worker_finds_no_leftover_scheduled_run(deployed):
    """Deploying takes a while; the time of a schedule's run may come before the schedule is paused."""
    with PrefectApi(deployed.prefect) as prefect:
        deployment = prefect.deployment("capture/simple-every-10-min")["id"]
        run = prefect.start_run(deployment, {}, tags=["auto-scheduled"])["id"]
        forget_runs(deployed.prefect)
        assert run not in [
            left["id"] for left in prefect.find_runs({"state": {"type": {"any_": UNFINISHED}}})
        ]
        assert prefect.deployment("capture/simple-every-10-min")["paused"]


async def test_the_same_order_twice_and_both_taken_up_at_once_capture_once(deployed, warm, world, store):
    incident = derive(uuid4().hex)
    only_before = POLICY.replace("after = 60", "after = 0").replace("seconds = 20", "seconds = 0")
    given = alert()
    first = await send(deployed, warm, incident, given, only_before)
    again = await send(deployed, warm, incident, given, only_before)
    assert first == again
    deadline = time.monotonic() + 240
    while not list(list_entries(store)):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    assert len(world.posts()) == 1


async def test_one_capture_that_fails_loses_no_other_and_the_incident_says_why(
    deployed, warm, world, store, on_call
):
    """The bucket is not registered, so there is no full capture. The notification says so."""
    world.write(
        incidents={"close_after": 5, "notify": ["slack-webhook/nobody-made-it", "custom-webhook/on-call"]}
    )
    incident = derive(uuid4().hex)
    run = await send(deployed, warm, incident, alert())
    async with get_client() as client:
        deadline = time.monotonic() + 240
        while not (found := await client.read_flow_run(run)).state.is_final():
            assert time.monotonic() < deadline, found.state
            await asyncio.sleep(0.3)
    record = Incidents(store).closed(incident)
    assert [(part.phase, part.state) for part in record.captures] == [
        ("before", "archived"),
        ("during", "missing"),
    ]
    assert "not registered" in record.missing[0].reason
    assert record.ended is None
    opening, closing = [each for each in on_call if incident[:8] in each["text"]]
    assert opening["subject"].startswith(f"edgecap: incident {incident[:8]}, 2 captures started: ")
    assert closing["subject"].startswith(f"edgecap: incident {incident[:8]} closed: ")
    assert len(closing["subject"]) < 150
    assert "not registered" in closing["text"]
    assert "## Filters" in closing["text"]  # what the packets from before tell, or that they tell nothing
    wanted = {
        f"notify {channel}: {event}": state
        for channel, state in {
            "custom-webhook/on-call": "COMPLETED",
            "slack-webhook/nobody-made-it": "FAILED",
        }.items()
        for event in ("opening", "closing")
    }
    mine, tried = TaskRunFilter(flow_run_id={"any_": [run]}, name={"like_": "notify"}), {}
    async with get_client() as client:
        while tried != wanted:  # Prefect learns the states of tasks from events, some time later
            assert time.monotonic() < deadline, tried
            await asyncio.sleep(0.3)
            found = await client.read_task_runs(task_run_filter=mine)
            tried = {each.name: each.state.type.value for each in found}


async def test_an_escalation_adds_captures_and_the_incident_ends_with_them(
    deployed, warm, world, store, on_call
):
    world.write(incidents={"notify": ["custom-webhook/on-call"]})
    await register_bucket()
    incident, incidents = derive(uuid4().hex), Incidents(store)
    quiet = POLICY.replace("seconds = 20", "seconds = 0")
    start = await send(deployed, warm, incident, alert(), quiet)
    deadline = time.monotonic() + 240
    while len(list(list_entries(store))) < 1:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    loud = POLICY.replace("before = 240", "before = 0")
    escalation = await send(deployed, warm, incident, alert(), loud, event="escalation")
    state = await ended(escalation)
    assert (state.is_completed(), state.message) == (True, "1 capture added to the incident")
    end = await send(deployed, warm, incident, alert("end", ago=timedelta(seconds=120)), quiet)
    assert (await ended(end)).is_completed()
    assert (await ended(start)).is_completed()
    record = incidents.closed(incident)
    assert [(part.phase, part.number, part.state) for part in record.captures] == [
        ("before", 1, "archived"),
        ("during", 1, "archived"),
        ("after", 1, "archived"),
    ]
    assert any(remark.startswith("1 capture added at ") for remark in record.remarks)
    subjects = [each["subject"] for each in on_call if incident[:8] in each["text"]]
    opened, grew, closed = subjects
    assert opened.startswith(f"edgecap: incident {incident[:8]}, 1 capture started: Flood, began ")
    assert grew.startswith(f"edgecap: incident {incident[:8]} escalated, 1 capture added: Flood, began ")
    assert closed.startswith(f"edgecap: incident {incident[:8]} closed: ")
    texts = [each["text"] for each in on_call if incident[:8] in each["text"]]
    assert all("At the start" in text and "data:image" not in text for text in texts)
    assert texts[1].startswith("# Escalated: Flood")
    assert "when an alert added captures" in texts[2]
    with PrefectApi(deployed.prefect) as prefect:  # one page, which was written anew
        body = {"artifacts": {"key": {"any_": [f"incident-{incident[:12]}"]}}}
        [page] = prefect.call("POST", "/artifacts/filter", json=body)
        [newest] = prefect.call("POST", "/artifacts/latest/filter", json=body)
    assert page["description"] == newest["description"]
    assert page["description"].startswith("closed, 3 of 3 captures: ")
    assert page["flow_run_id"] == str(start)
    for title in ("At the start", "when an alert added captures", "At the end"):
        assert title in page["data"].replace("\\", "")


async def test_an_open_incident_says_why_a_capture_failed(deployed, warm, world, store):
    """The bucket is not registered, so the journal knows nothing of the full capture."""
    incident = derive(uuid4().hex)
    await send(deployed, warm, incident, alert())
    overviews = Overviews(store, None)
    deadline, page = time.monotonic() + 240, ""
    with PrefectApi(deployed.prefect) as prefect:
        while "1 missing" not in page or "1 of 2 captures archived" not in page:
            assert time.monotonic() < deadline, page
            await asyncio.sleep(0.3)
            body = {"artifacts": {"key": {"any_": [f"incident-{incident[:12]}"]}}, "sort": "CREATED_DESC"}
            found = prefect.call("POST", "/artifacts/filter", json=body)
            page = found[0]["data"] if found else ""
    assert "not registered" in page
    assert Incidents(store).closed(incident) is None
    parts = list(overviews.parts(overviews.read(incident)))
    assert [(part.phase, part.state) for part in parts] == [("before", "archived"), ("during", "missing")]
    assert "not registered" in parts[1].reason
