"""Names of runs that wait, on a real Prefect server."""

import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client

from deployments.canceller import patient_api
from edgecap.alerts.policy.decision import Planned
from edgecap.captures.incident_part import IncidentPart
from edgecap.requests import FullRequest
from tasks.incident import start_captures
from tasks.runtime.rest import PrefectApi
from tasks.runtime.run_names import name_waiting

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect 2")]


def test_runs_of_forms_and_schedules_are_named_while_they_wait(deployed):
    soon = datetime.now(UTC) + timedelta(hours=1)
    with PrefectApi(deployed.prefect) as prefect, patient_api(deployed.api_url) as patient:
        deployment = prefect.deployment("capture/full-capture-now")["id"]
        run = prefect.start_run(deployment, {"colo": "ORD"}, name="Fantastic-Alusky", tags=[], at=soon)
        assert run["name"] == "Fantastic-Alusky"
        assert name_waiting(patient) > 0
        assert prefect.run(run["id"])["name"] == "full ORD everything"
        assert name_waiting(patient) == 0
        prefect.call("DELETE", f"/flow_runs/{run['id']}")


async def test_an_incident_s_captures_have_their_names_before_they_run(deployed, monkeypatch):
    monkeypatch.setattr("tasks.incident.get_run_logger", logging.getLogger)
    later = datetime.now(UTC) + timedelta(hours=1)
    planned = Planned(phase="during", number=1, request=FullRequest(colo="ORD"), not_before=later, why="")
    part = IncidentPart(incident=uuid4().hex, phase="during", number=1)
    noted = SimpleNamespace(parts=[(part, planned)], account="default", incident=part.incident)
    [run_id] = await start_captures.fn(noted, "default")
    async with get_client() as client:
        run = await client.read_flow_run(run_id)
        assert run.name == "full ORD everything"
        assert set(run.tags) == {"alert", "during", "ORD", f"incident {part.incident[:8]}"}
        await client.delete_flow_run(run.id)
