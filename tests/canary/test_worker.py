"""What a worker leaves at a run that it takes: labels, states, events, and a variable for its process."""

from contextlib import suppress
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.local.processes import marked
from deployments.local.setup import POOL, LocalSetup
from tasks.runtime.prefect_names import FLOW_RUN_ID, HEARTBEAT, SUBMITTING, WORK_POOL, WORKER, WORKER_STARTED
from tasks.runtime.rest import PrefectApi
from tasks.runtime.workers import newest_event
from tests.deployments.conftest import until
from tests.prefect_database import place_database

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]


@pytest.fixture
def taken(tmp_path, prefect_database):
    """A setup, and a run that its worker took and has ended; its process is looked at meanwhile."""
    place_database(prefect_database, tmp_path)
    with LocalSetup(tmp_path) as setup, temporary_settings({PREFECT_API_URL: setup.api_url}):
        setup.start_server()
        setup.wait_for_server(timeout=240)
        setup.start_workers()
        setup.deploy()
        setup.wait_for_workers(timeout=240)
        with PrefectApi(setup.api_url) as api:
            run_id = api.start_run(api.deployment("reconcile/every-10-min")["id"], {}, tags=[])["id"]
            variable = f"{FLOW_RUN_ID}={run_id}".encode()
            until(lambda: variable in environments(setup.mark), timeout=240)
            until(lambda: api.run(run_id)["state"]["type"] in ("FAILED", "COMPLETED"), timeout=240)
            yield api.run(run_id)


def environments(mark):
    """The variables of all processes of a setup."""
    found = set()
    for pid in marked(mark):
        with suppress(OSError):
            found |= set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    return found


async def test_a_run_names_its_worker_and_gives_signs_of_life(taken):
    assert (taken["labels"][WORKER], taken["labels"][WORK_POOL]) == ("edgecap-1", POOL)
    resource = {"prefect.resource.id": f"prefect.flow-run.{taken['id']}"}
    async with get_client() as client:
        states = await client.read_flow_run_states(taken["id"])
        assert (StateType.PENDING, SUBMITTING) in [(state.type, state.name) for state in states]
        assert await newest_event(client, WORKER_STARTED, {"prefect.resource.name": "edgecap-1"})
        assert await newest_event(client, HEARTBEAT, resource)
