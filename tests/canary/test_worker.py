"""What a worker leaves at a run that it takes: labels, states, events, and a variable for its process."""

from contextlib import suppress
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployments.fork.protocol import COMMAND_NAME
from deployments.local.processes import marked
from deployments.local.setup import POOL, LocalSetup
from tasks.runtime.prefect_names import FLOW_RUN_ID, HEARTBEAT, SUBMITTING, WORK_POOL, WORKER, WORKER_STARTED
from tasks.runtime.rest import PrefectApi
from tasks.runtime.workers import newest_event
from tests.alike import deploy_alike
from tests.deployments.conftest import until
from tests.prefect_database import place_database

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]


@pytest.fixture(scope="module")
def setup(tmp_path_factory, prefect_database):
    """A server and a worker."""
    home = tmp_path_factory.mktemp("taken")
    place_database(prefect_database, home)
    with (
        LocalSetup(home) as setup,
        temporary_settings(
            {PREFECT_API_URL: setup.api_url, PREFECT_API_AUTH_STRING: setup.sign_in.auth_string}
        ),
    ):
        setup.start_server()
        setup.wait_for_server(timeout=240)
        setup.start_workers()
        setup.deploy()
        setup.wait_for_workers(timeout=240)
        yield setup


@pytest.fixture(scope="module")
def taken(setup):
    """A run that a worker took and has ended, and the names of processes that were there meanwhile."""
    with PrefectApi(setup.prefect) as api:
        run_id = api.start_run(api.deployment("reconcile/reconcile-every-10-min")["id"], {}, tags=[])["id"]
        variable = f"{FLOW_RUN_ID}={run_id}".encode()
        until(lambda: variable in environments(setup.mark), timeout=240)
        names = set()
        until(lambda: ended(api, run_id, names.update(names_of(setup.mark))), timeout=240)
        return api.run(run_id), names


def ended(api, run_id, _):
    """Whether a run is over."""
    return api.run(run_id)["state"]["type"] in ("FAILED", "COMPLETED")


def names_of(mark):
    """The short names of all processes of a setup."""
    found = set()
    for pid in marked(mark):
        with suppress(OSError):
            found.add(Path(f"/proc/{pid}/comm").read_text().strip())
    return found


def environments(mark):
    """The variables of all processes of a setup."""
    found = set()
    for pid in marked(mark):
        with suppress(OSError):
            found |= set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    return found


async def test_a_run_names_its_worker_and_gives_signs_of_life(taken):
    taken, _ = taken
    assert (taken["labels"][WORKER], taken["labels"][WORK_POOL]) == ("edgecap-1", POOL)
    resource = {"prefect.resource.id": f"prefect.flow-run.{taken['id']}"}
    async with get_client() as client:
        states = await client.read_flow_run_states(taken["id"])
        assert (StateType.PENDING, SUBMITTING) in [(state.type, state.name) for state in states]
        assert await newest_event(client, WORKER_STARTED, {"prefect.resource.name": "edgecap-1"})
        assert await newest_event(client, HEARTBEAT, resource)


def test_a_run_s_process_is_a_fork(taken):
    assert COMMAND_NAME in taken[1]


def test_a_run_due_again_too_soon_does_not_end_the_worker(setup):
    """Prefect's own worker ends: when it does not, deployments/local/mended_worker.py may go."""
    with PrefectApi(setup.prefect) as api:
        deployment = deploy_alike(api, "gives-back", "tests/canary/giving_back.py:gives_back")
        run_id = api.start_run(deployment, {}, tags=[])["id"]
        until(lambda: ended(api, run_id, None) or not setup.workers[0].running, timeout=240)
        assert setup.workers[0].running
        run = api.run(run_id)
        assert (run["state"]["type"], run["run_count"]) == ("COMPLETED", 2)
