"""The setup that `benches.cost` measures: a worker, a warm process, a receiver, a bucket and accounts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benches.alerts import POLICY, SECRET
from benches.cost_bench import Bench
from benches.counted_server import WRITES, read_writes
from benches.lanes import a_bucket
from benches.meters import Meters, postgres_writes
from benches.world import TOKEN, simulated_edge, start, write_settings
from deployments.demo.demo import QUICK
from deployments.demo.object_store import ObjectStore
from deployments.local.processes import LOOPBACK, answers, free_port
from deployments.local.setup import FORKED, LocalSetup
from deployments.project import PROJECT
from edgecap.settings import Account
from edgecap.simulator.options import SAMPLE_ONE_IN, SimulatorOptions, make_edge
from edgecap.simulator.serve import SimulatorServer
from edgecap.simulator.traffic.synthetic import RATE
from tasks.runtime.rest import PrefectApi
from tests.alike import deploy_alike
from tests.faults.postgres import URL, Postgres

NOW, EVERY_10_MIN, UPKEEP = (
    "capture/capture-by-program",
    "capture/simple-every-10-min",
    "reconcile/reconcile-every-10-min",
)
# Seconds between two simple requests of an account: longer than a run takes, as the API's minute is.
SPACING = 4.0
_REACTS = 3.0  # seconds; by then an automation has started its run
ACCOUNTS = 24  # that the burst is spread over
# Their captures have as many packets as those of the first account. But these edges make only packets that
# are captured: making ten times as many took a quarter of both processors.
_FEW_MADE = {"rate": RATE / SAMPLE_ONE_IN, "sample_one_in": 1}
AT_ONCE = 32  # runs of the worker: as many as of four workers that take eight each


@contextmanager
def running(home: Path, database: str, count: int) -> Iterator[tuple[Bench, Account, str]]:
    """A setup with a warm process, a receiver, a bucket and some accounts; the receiver's address."""
    with ExitStack() as stack:
        objects = stack.enter_context(ObjectStore(home / "logs"))
        keys = {"AWS_ACCESS_KEY_ID": objects.access_key_id}
        keys["AWS_SECRET_ACCESS_KEY"] = objects.secret_access_key
        how = ["--simple-spacing", str(SPACING), "--s3-endpoint", objects.endpoint_url]
        # Its steps take less time than Cloudflare's, so that the bench does.
        how += ["--set", "validation_takes=1", "--set", f"full_steps={QUICK['full_steps']}"]
        account = stack.enter_context(simulated_edge(home, *how, env=keys))
        port, policy = free_port(), home / "policy.toml"
        policy.write_text(POLICY)
        more = [
            a_bucket(objects, account),
            f"simple_spacing = {SPACING}",
        ]  # the bucket's text ends in [timing]
        more += [f'[receiver]\nport = {port}\npolicy = "{policy}"', f'[alerts.generic]\nsecret = "{SECRET}"']
        more += [stack.enter_context(_another(number)) for number in range(ACCOUNTS)]
        env = {**write_settings(home, account, "\n".join(more)), "EDGECAP_HOME": str(home)}
        (traces := home / "traces").mkdir()
        env |= {WRITES: str(home / "writes"), "EDGECAP_BENCH_TRACES": str(traces)}
        env["PYTHONPATH"] = (
            f"{PROJECT / 'benches' / 'traced'}:{PROJECT}"  # also where this is no installed checkout
        )
        postgres = stack.enter_context(Postgres(durable=True)) if database == "postgresql" else None
        if postgres:
            env[URL] = postgres.new("prefect")
        setup = stack.enter_context(LocalSetup(home, env=env, warm=True, limit=AT_ONCE))
        setup.server.argv[1:3] = ["-m", "benches.counted_server"]
        receiver = setup.program("receiver", *FORKED, "deployments.receiver.serve")  # as `edgecap up` does
        stack.callback(receiver.stop)
        start(setup)
        receiver.start()
        receiver.wait_ready(lambda: answers(port), timeout=60)
        prefect = stack.enter_context(PrefectApi(setup.prefect))
        _rest(prefect)
        writes = partial(postgres_writes, postgres, "prefect") if postgres else None
        meters = Meters(setup, writes or partial(read_writes, home / "writes"), postgres)
        yield Bench(setup, meters, prefect, home, count), account, f"{LOOPBACK}:{port}"


def _rest(prefect: PrefectApi) -> None:
    """Switch schedules and automations off, and wait for the end of what they have started."""
    for scheduled in (EVERY_10_MIN, UPKEEP):
        prefect.pause(scheduled)
    time.sleep(_REACTS)
    for automation in prefect.call("POST", "/automations/filter", json={}):
        prefect.call("PATCH", f"/automations/{automation['id']}", json={"enabled": False})
    while active := prefect.find_runs({"state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING"]}}}):
        for run in active:
            if run["state"]["type"] == "SCHEDULED" and run["auto_scheduled"]:
                # Prefect was just making it when its schedule was switched off.
                prefect.call("DELETE", f"/flow_runs/{run['id']}")
        time.sleep(1)


@contextmanager
def _another(number: int) -> Iterator[str]:
    """One more account, at an edge in this process; its settings."""
    account_id = f"{number:032x}"
    options = SimulatorOptions.model_validate(
        {"account_id": account_id, "api_token": TOKEN, "simple_spacing": SPACING, **_FEW_MADE}
    )
    with SimulatorServer(make_edge(options)) as server:
        yield (
            f'[accounts.a{number}]\naccount_id = "{account_id}"\napi_token = "{TOKEN}"\n'
            f'base_url = "{server.base_url}"'
        )


def plain(prefect: PrefectApi) -> str:
    """The plain flow's deployment; its id."""
    return deploy_alike(prefect, "plain", "benches/plain_flow.py:plain")
