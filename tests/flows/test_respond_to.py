"""Alerts that a webhook of Prefect hands over: the flow `respond_to`, against a real Prefect server."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import StateType

from edgecap.incidents.incidents import Incidents
from flows.respond_to import respond_to
from tasks.runtime.alert_runs import incident_tag
from tests.deployments.conftest import attack

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect 2")]


def payload(event="START"):
    """An attack of its own each time the module is imported."""
    return json.dumps(attack(NUMBER, event=event))


NUMBER = uuid4().int % 10_000


async def runs_of(incident):
    async with get_client() as client:
        wanted = FlowRunFilter(tags=FlowRunFilterTags(all_=[incident_tag(incident)]))
        return await client.read_flow_runs(flow_run_filter=wanted)


async def test_start_and_end_of_an_attack_make_one_run_of_respond_each(deployed, world, store):
    """However often the webhook hands them over."""
    for _ in range(2):
        state = await respond_to("cloudflare", payload(), return_state=True)
        assert state.is_completed(), state.message
    (incident,) = Incidents(store).ids()
    assert f"incident {incident[:8]}" in state.message
    await respond_to("cloudflare", payload("END"), received=datetime.now(UTC))
    await respond_to("cloudflare", payload("END"))
    runs = {run.parameters["event"]: run for run in await runs_of(incident)}
    assert len(await runs_of(incident)) == len(runs) == 2
    assert runs["start"].parameters["incident"] == incident
    assert runs["start"].parameters["plan"]["captures"][0]["phase"] == "before"
    assert runs["end"].parameters["plan"]["captures"][0]["phase"] == "after"
    assert all(run.state.type == StateType.SCHEDULED for run in runs.values())
    assert not world.posts()


async def test_an_alert_that_is_not_understood_fails_in_one_line(deployed, world, store):
    state = await respond_to("cloudflare", "[]", return_state=True)
    assert state.is_failed()
    assert "the body is a list, not a JSON object" in state.message
    assert Incidents(store).ids() == []


async def test_a_trial_message_leads_to_nothing(deployed, world, store):
    state = await respond_to("cloudflare", '{"text": "Hello World!"}', return_state=True)
    assert (state.is_completed(), state.message) == (True, "a test message, which starts nothing")
