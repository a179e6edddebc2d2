"""A real Prefect server for the flows, a simulated edge, a real bucket and an archive."""

import json
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.context import SettingsContext
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    PREFECT_LOGGING_TO_API_ENABLED,
    PREFECT_RESULTS_PERSIST_BY_DEFAULT,
    temporary_settings,
)

from deployments.local.setup import POOL, QUEUES, LocalSetup
from edgecap.archive.journal import Journal
from edgecap.cli.running import run_capture
from edgecap.errors import SetupError
from edgecap.settings import load_settings
from edgecap.simulator.buckets import EdgeBuckets
from edgecap.simulator.credentials import Credential
from edgecap.simulator.edge import Edge
from edgecap.simulator.faults import Faults, parse_fault
from edgecap.simulator.serve import SimulatorServer
from edgecap.simulator.traffic import SyntheticTraffic
from edgecap.simulator.variants import VARIANTS
from edgecap.stores import open_store
from flows.capture import capture
from tasks.runtime.rest import PrefectApi
from tests.faults.edge import JumpingClock
from tests.prefect_database import place_database
from tests.raw_sockets import live_traffic

TOKEN = "token-of-the-flow-tests"
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
        with temporary_settings(
            {
                PREFECT_API_URL: setup.api_url,
                PREFECT_HOME: home / "prefect",
                PREFECT_RESULTS_PERSIST_BY_DEFAULT: True,
                PREFECT_LOGGING_TO_API_ENABLED: False,  # else they are sent at exit, when it is gone
                PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
            }
        ):
            yield setup


@pytest.fixture(scope="session")
def deployed(prefect_server):
    """The deployments of `prefect.yaml`; nobody works on their runs, and their schedules rest."""
    with PrefectApi(prefect_server.api_url) as prefect:
        prefect.make_pool(POOL, QUEUES)
    prefect_server.deploy()
    forget_runs(prefect_server.api_url)
    return prefect_server


@pytest.fixture
async def deployment(prefect_server):
    """A deployment of `capture` whose runs a worker of some pool would take, if there were one."""
    async with get_client() as client:
        pool = await client.create_work_pool(WorkPoolCreate(name=f"pool-{uuid.uuid4().hex}", type="process"))
        flow_id = await client.create_flow(capture)
        return await client.create_deployment(flow_id, name=uuid.uuid4().hex, work_pool_name=pool.name)


def forget_runs(api_url):
    """Pause all schedules and delete the runs that are not over: a worker would take them.

    Prefect itself deletes only a paused schedule's runs to come, not one whose time has come.
    """
    with PrefectApi(api_url) as prefect:
        for deployment in prefect.call("POST", "/deployments/filter", json={}):
            if deployment["schedules"] and not deployment["paused"]:
                prefect.call("PATCH", f"/deployments/{deployment['id']}", json={"paused": True})
        for run in prefect.find_runs({"state": {"type": {"any_": UNFINISHED}}}):
            with suppress(SetupError):  # gone already: an answer that came late, and a second try
                prefect.call("DELETE", f"/flow_runs/{run['id']}")


@dataclass
class World:
    """What a capture needs: the settings file, the edge and the archive."""

    config: Path
    values: dict
    edge: Edge
    archive: Path
    account_id: str

    def write(self, **tables):
        """Write the settings, with some tables changed."""
        lines = []
        for name, table in {**self.values, **tables}.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        self.config.write_text("\n".join(lines) + "\n")

    def accepted(self):
        """The ids of the captures that the edge accepted, each with the journal's intents for it.

        More than one capture for an intent is the fault that must never be; a capture without one is somebody
        else's.
        """
        intents = {}
        for record in Journal(open_store(load_settings().archive())).records():
            intents.setdefault(record.capture_id, []).append(record.intent)
        return {post["capture_id"]: intents.get(post["capture_id"], []) for post in self.posts()}

    def posts(self, outcome="accepted"):
        """The capture requests that the edge accepted or refused, from its own log."""
        return [
            event
            for event in self.edge.log.events("request")
            if event["method"] == "POST" and event["path"].endswith("/pcaps") and event["outcome"] == outcome
        ]


@pytest.fixture
def world(prefect_server, object_store, tmp_path, monkeypatch, request):
    """A simulated edge that runs 30 times as fast; parametrise it with (faults, variant).

    With a third, it captures the live packets of `lo`, at the real speed.
    """
    account_id = uuid.uuid4().hex  # lanes are the account's, and the Prefect server remembers them
    faults, variant, *live = getattr(request, "param", ((), "documented"))
    speed = 1 if live else SPEED
    bucket = object_store.make_bucket(f"flows-{account_id}")
    place = object_store.place(bucket, "captures")
    edge = Edge(
        traffic=live_traffic("lo", history_bytes=1 << 30) if live else SyntheticTraffic(7, rate=RATE),
        buckets=EdgeBuckets(
            object_store.endpoint_url,
            None,
            place.access_key_id,
            place.secret_access_key,
        ),
        credentials=[Credential("token", frozenset({account_id}), token=TOKEN)],
        clock=JumpingClock(speed),
        variant=replace(VARIANTS[variant], validation_takes=1.0) if live else VARIANTS[variant],
        sample_one_in=1 if live else 10,
        faults=Faults(map(parse_fault, faults)),
    )
    archive = tmp_path / "archive"
    archive.mkdir()
    with SimulatorServer(edge) as server:
        values = {
            "accounts.default": {"account_id": account_id, "api_token": TOKEN, "base_url": server.base_url},
            "buckets.default": {
                "uri": place.uri,
                "endpoint_url": object_store.endpoint_url,
                "access_key_id": object_store.access_key_id,
                "secret_access_key": object_store.secret_access_key,
            },
            "archives.default": {"uri": f"file:{archive}"},
            "timing": {"server_speed": speed, "settle": 1.0, "delivery": 20, "poll_most": 1.0},
        }
        world = World(tmp_path / "edgecap.toml", values, edge, archive, account_id)
        world.write()
        monkeypatch.setenv("EDGECAP_CONFIG", str(world.config))
        yield world
    # A run that seems to be starting keeps the next test's `reconcile` looking at it for two minutes.
    forget_runs(prefect_server.api_url)


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
