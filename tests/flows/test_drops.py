"""What was dropped is asked for again when rows have settled: scheduled once, and written down once."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client

from edgecap.alerts.model import Alert, derive, summary_of
from edgecap.alerts.policy.decision import decide, read_policy
from edgecap.incidents.drops import read_drops
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.overview import Overviews
from edgecap.incidents.record import HeldBack, IncidentEvent, closed_record
from edgecap.stores.folder import FolderStore
from flows.drops import drops
from tasks.drops import ask_again_later, ask_drops
from tasks.runtime.find_runs import find_runs
from tests.edgecap.analytics.logpush_rows import TARGET, passed, put, row

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect 2")]

MINUTE = timedelta(minutes=1)


@pytest.fixture
def bucket(world, tmp_path):
    """Where Logpush pushes; GraphQL is not asked."""
    (tmp_path / "logs").mkdir()
    store = FolderStore(tmp_path / "logs")
    world.write(**{"accounts.default.analytics": {"enabled": False, "logpush": store.uri}})
    return store


@pytest.fixture
def opened(store):
    """An incident of an attack that began ten minutes ago, closed without captures."""
    now = datetime.now(UTC)
    alert = Alert(
        source="generic", kind="flood", event="start", severity="high", received=now - 9 * MINUTE,
        identity=derive(uuid4().hex), incident=derive(uuid4().hex), started=now - 10 * MINUTE,
        targets=(TARGET,),
    )  # fmt: skip
    plan = decide(alert, read_policy('[[rules]]\nname = "none"\nbefore = 0\nafter = 0\n'))
    told = {"alert": summary_of(alert), "plan": plan, "account": "default", "at": now - 9 * MINUTE}
    event = IncidentEvent(incident=derive(uuid4().hex), **told)
    incidents = Incidents(store)
    incidents.open(event)
    incidents.close(closed_record(event, None, (), held_back=HeldBack(), at=now))
    return event


@flow
async def closing(event):
    """As `respond` does it."""
    found = await ask_drops(event, "default")
    await ask_again_later(event, "default")
    return found


async def test_it_is_scheduled_for_both_times_and_only_once(deployed, world, store, bucket, opened):
    for _ in range(2):
        await closing(opened)
    async with get_client() as client:
        runs = await find_runs(client, tags={"all_": [f"incident {opened.incident[:8]}"]})
    runs.sort(key=lambda run: run.parameters["asked"])
    assert [run.parameters["asked"] for run in runs] == ["after-12-h", "after-15-min"]
    for run, wait in zip(runs, (timedelta(hours=12), 15 * MINUTE), strict=True):
        left = run.state.state_details.scheduled_time - datetime.now(UTC)
        assert wait - 5 * MINUTE < left <= wait
        assert run.parameters["incident"] == opened.incident


async def test_a_run_later_writes_what_is_known_then_and_shows_it(deployed, world, store, bucket, opened):
    at = (datetime.now(UTC) - 8 * MINUTE).replace(microsecond=0)
    assert (await closing(opened)).problems
    put(bucket, row(at=at), passed(at=at), at=at)
    state = await drops(opened.incident, "after-15-min", return_state=True)
    assert (state.is_completed(), state.message) == (True, "the edge dropped 50.0% of the packets")
    put(bucket, row(at=at), at=at, name="more")
    again = await drops(opened.incident, "after-15-min", return_state=True)
    assert again.message == "the edge dropped 50.0% of the packets"
    assert [each.round for each in read_drops(store, opened.incident)] == ["closing", "after-15-min"]
    found = await asyncio.to_thread(Overviews(store, None).read, opened.incident)
    assert found.dropped.dropped.value == 1000
    assert found.dropped_packets.packets == 1
    async with get_client() as client:
        pages = await client.read_artifacts()
    page = next(each for each in pages if each.key == f"incident-{opened.incident[:12]}")
    assert "## Passed and dropped" in page.data
    assert "The edge dropped 50.0% of about 2 k packets" in page.data


async def test_an_unknown_incident_ends_the_run_with_its_reason(deployed, world, store):
    state = await drops("ab" * 16, return_state=True)
    assert state.is_failed()
    assert "unknown incident" in state.message


async def test_without_analytics_nothing_is_asked_or_scheduled(deployed, world, store, opened):
    world.write(**{"accounts.default.analytics": {"enabled": False}})
    assert await closing(opened) is None
    assert read_drops(store, opened.incident) == ()
    async with get_client() as client:
        assert await find_runs(client, tags={"all_": [f"incident {opened.incident[:8]}"]}) == []
