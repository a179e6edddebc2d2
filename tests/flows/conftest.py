"""A real Prefect server for the flows, a simulated edge, a real bucket and an archive."""

import json
import uuid
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.context import SettingsContext
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    PREFECT_LOGGING_TO_API_ENABLED,
    PREFECT_RESULTS_PERSIST_BY_DEFAULT,
    temporary_settings,
)

from deployments.local.processes import LOOPBACK, MARK, answers, free_port, kill_marked
from deployments.local.setup import POOL, QUEUES, LocalSetup
from deployments.local.work_pool import TEMPLATE
from edgecap.cli.running import run_capture
from edgecap.errors import SetupError
from edgecap.settings import load_settings
from edgecap.simulator.variants import VARIANTS
from edgecap.stores import open_store
from flows.capture import capture
from tasks.runtime.prefect_server import AUTH_STRING
from tasks.runtime.rest import PrefectApi
from tests.graphql import network_analytics
from tests.prefect_database import place_database
from tests.raw_sockets import live_traffic
from tests.stand_ins import JsonHandler, serving
from tests.world import SetClock, World

SPEED = 30
RATE = 25.0  # packets a second at a server: a capture of a minute is some thousands
UNFINISHED = ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING", "CRASHED"]


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory, prefect_database):
    """A Prefect server of its own, with durable leases, and this process as its client."""
    home = tmp_path_factory.mktemp("prefect")
    place_database(prefect_database, home)
    with LocalSetup(home) as setup:
        setup.start_server()
        setup.wait_for_server(timeout=240)
        with (
            pytest.MonkeyPatch.context() as patch,
            temporary_settings(
                {
                    PREFECT_API_URL: setup.api_url,
                    PREFECT_API_AUTH_STRING: setup.sign_in.auth_string,
                    PREFECT_HOME: home / "prefect",
                    PREFECT_RESULTS_PERSIST_BY_DEFAULT: True,
                    PREFECT_LOGGING_TO_API_ENABLED: False,  # else they are sent at exit, when it is gone
                    PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
                }
            ),
        ):
            patch.setenv(AUTH_STRING, setup.sign_in.auth_string)
            yield setup


@pytest.fixture(scope="session")
def deployed(prefect_server):
    """The deployments of `prefect.yaml`, without a worker, and with their schedules paused."""
    with PrefectApi(prefect_server.prefect) as prefect:
        prefect.make_pool(POOL, QUEUES, TEMPLATE)
    prefect_server.deploy()
    forget_runs(prefect_server.prefect)
    return prefect_server


@pytest.fixture
async def deployment(prefect_server):
    """A deployment of `capture` whose runs a worker of some pool would take, if there were one."""
    async with get_client() as client:
        pool = await client.create_work_pool(WorkPoolCreate(name=f"pool-{uuid.uuid4().hex}", type="process"))
        flow_id = await client.create_flow(capture)
        return await client.create_deployment(flow_id, name=uuid.uuid4().hex, work_pool_name=pool.name)


def forget_runs(server):
    """Pause all schedules and delete the runs that are not over: a worker would take them.

    Prefect itself deletes only a paused schedule's runs to come, not one whose time has come.
    """
    with PrefectApi(server) as prefect:
        for deployment in prefect.call("POST", "/deployments/filter", json={}):
            if deployment["schedules"] and not deployment["paused"]:
                prefect.call("PATCH", f"/deployments/{deployment['id']}", json={"paused": True})
        for run in prefect.find_runs({"state": {"type": {"any_": UNFINISHED}}}):
            with suppress(SetupError):  # gone already: an answer that came late, and a second try
                prefect.call("DELETE", f"/flow_runs/{run['id']}")


@pytest.fixture
def world(prefect_server, object_store, tmp_path, monkeypatch, request):
    """A simulated edge that runs 30 times as fast; parametrise it with (faults, variant).

    With a third, it captures the live packets of `lo`, at the real speed.
    """
    faults, variant, *live = getattr(request, "param", ((), "documented"))
    here = {"clock": SetClock(SPEED), "variant": variant}
    if live:
        variant = replace(VARIANTS[variant], validation_takes=1.0)
        traffic = live_traffic("lo", history_bytes=1 << 30)
        here = {"clock": SetClock(1), "variant": variant, "traffic": traffic, "sample_one_in": 1}
    timing = {"settle": 1.0, "delivery": 20, "poll_most": 1.0}
    with World(tmp_path, store=object_store, faults=faults, timing=timing, **here) as world:
        world.write()
        monkeypatch.setenv("EDGECAP_CONFIG", str(world.config))
        yield world
    # A run that seems to be starting keeps the next test's `reconcile` looking at it for two minutes.
    forget_runs(prefect_server.prefect)


@pytest.fixture
def warm(deployed, world, monkeypatch, tmp_path):
    """The warm process and a worker, for the settings of this test."""
    port = free_port()
    env = {
        "EDGECAP_CONFIG": str(world.config),
        "EDGECAP_WARM_RUNNER": f"http://{LOOPBACK}:{port}",
        MARK: uuid.uuid4().hex,
    }
    programs = [
        deployed.program("warm-runner", "deployments.warm_runner"),
        deployed.program("worker", "prefect", "worker", "start", "--pool", POOL, "--type", "process"),
    ]
    forget_runs(deployed.prefect)
    try:
        for program in programs:
            program.env = {**program.env, **env}
            program.start()
        programs[0].wait_ready(lambda: answers(port), timeout=240)
        yield env["EDGECAP_WARM_RUNNER"]
    finally:
        for program in programs:
            program.stop(grace=0)  # there is nothing in them to save, and a worker takes its time
        kill_marked(env[MARK])


@pytest.fixture
def told(world):
    """Puts Network Analytics with these rows before the simulated edge, and says so in the settings."""

    @contextmanager
    def serve(*rows, **more):
        api = world.server.base_url
        with network_analytics(*rows, account=world.account_id, api=api, **more) as server:
            world.tables["accounts.default"]["base_url"] = server.url
            world.write(incidents={"close_after": 3})
            yield server

    return serve


@pytest.fixture
def capture_here(monkeypatch):
    """Runs a capture as the command line does; the run's own thread has the test's Prefect settings, too."""

    def run(request):
        monkeypatch.setattr("edgecap.cli.running.point_at_prefect", lambda _home: "")
        monkeypatch.setattr("prefect.context.GLOBAL_SETTINGS_CONTEXT", SettingsContext.get())
        return run_capture(request, load_settings(), account="default", archive="default")

    return run


@pytest.fixture
def store(world):
    """The archive of this test."""
    return open_store(load_settings().archive())


@pytest.fixture
async def on_call(prefect_server):
    """What a webhook of Prefect's, called `on-call`, was told."""
    told = []

    class Handler(JsonHandler):
        def do_POST(self):
            told.append(json.loads(self.body()))
            self.say(None, 204)

    with serving(Handler) as server:
        words = {"subject": "{{subject}}", "text": "{{body}}"}
        block = CustomWebhookNotificationBlock(name="on-call", url=f"{server.url}/", json_data=words)
        await block.asave("on-call", overwrite=True)
        yield told
