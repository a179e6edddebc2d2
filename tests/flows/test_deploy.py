"""`edgecap deploy` on a real Prefect server that knows nothing yet."""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from deployments.local import POOL, QUEUES
from deployments.prefect_api import PrefectApi
from deployments.processes import Program

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]
EDGECAP = Path(sys.executable).with_name("edgecap")
PREFECT = Path(sys.executable).with_name("prefect")


def deploy(folder, **env):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        [EDGECAP, "deploy"], cwd=folder, env={**kept, **env}, capture_output=True, text=True, check=False
    )


def test_a_server_of_ones_own_gets_the_queues_in_their_order_and_every_deployment(prefect_server, tmp_path):
    done = deploy(tmp_path, PREFECT_API_URL=prefect_server.api_url)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].strip() == "edgecap worker"
    with PrefectApi(prefect_server.api_url) as prefect:
        queues = prefect._call("POST", f"/work_pools/{POOL}/queues/filter", json={})
        assert {each["name"]: each["priority"] for each in queues if each["name"] in QUEUES} == QUEUES
        for name in ("capture/now", "respond/alert", "reconcile/every-10-min", "register-bucket/once"):
            assert prefect.deployment(name)["work_queue_name"] in QUEUES


def test_without_a_server_it_says_what_to_set(tmp_path):
    done = deploy(tmp_path)
    assert (done.returncode, done.stdout) == (15, "")
    assert done.stderr.startswith("edgecap: no Prefect server is named (PREFECT_API_URL)")


def environment(api_url):
    """That of a person's shell with an activated environment: nothing says where the settings are."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("EDGECAP_", "PREFECT_"))
    }
    path = f"{EDGECAP.parent}:{kept['PATH']}"
    return {**kept, "PATH": path, "PREFECT_API_URL": api_url, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}


def test_workers_in_folders_of_their_own_use_the_settings_that_lie_there(
    prefect_server, world, tmp_path, monkeypatch
):
    """`edgecap worker`, and Prefect's own command, in folders that have an edgecap.toml."""
    for name in [name for name in os.environ if name.startswith(("EDGECAP_", "PREFECT_"))]:
        monkeypatch.delenv(name)
    assert deploy(tmp_path, PREFECT_API_URL=prefect_server.api_url).returncode == 0
    commands = {
        "manual": [PREFECT, "worker", "start", "--pool", POOL, "--type", "process", "--work-queue", "manual"],
        "schedules": [EDGECAP, "worker", "--queue", "schedules"],
    }
    with PrefectApi(prefect_server.api_url) as prefect, ExitStack() as programs:
        now, runs = prefect.deployment("capture/now")["id"], {}
        for queue, argv in commands.items():
            folder = tmp_path / queue
            (folder / "archive").mkdir(parents=True)
            world.config = folder / "edgecap.toml"
            world.write(**{"archives.default": {"uri": f"file:{folder / 'archive'}"}})
            env = environment(prefect_server.api_url)
            worker = Program(queue, ["env", "-i", *(f"{k}={v}" for k, v in env.items()), *map(str, argv)],
                             log=folder / "log", folder=folder)  # fmt: skip
            worker.start()
            programs.callback(worker.stop)
            request = {"type": "simple", "time_limit": 60}
            body = {
                "parameters": {"request": request},
                "work_queue_name": queue,
                "state": {"type": "SCHEDULED"},
            }
            runs[queue] = prefect._call("POST", f"/deployments/{now}/create_flow_run", json=body)["id"]
        deadline = time.monotonic() + 300
        while states := [
            state
            for state in (prefect.run(run)["state"] for run in runs.values())
            if state["type"] in ("SCHEDULED", "PENDING", "RUNNING")
        ]:
            logs = {queue: (tmp_path / queue / "log").read_text()[-2000:] for queue in runs}
            assert time.monotonic() < deadline, (states, logs)
            time.sleep(1)
        for queue, run in runs.items():
            log = (tmp_path / queue / "log").read_text()
            assert prefect.run(run)["state"]["type"] == "COMPLETED", (prefect.run(run)["state"], log[-3000:])
            assert len(list((tmp_path / queue / "archive").rglob("manifest.json"))) == 1


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (None, "edgecap: no account is called 'default' (known: none); there is no {folder}/edgecap.toml"),
        ({"accounts.default": {"account_id": "a" * 32}}, "edgecap: account 'default' has no credentials"),
        ({"archives.default": {"uri": "file:archive"}}, "edgecap: archive 'default' is a folder relative to"),
    ],
)
def test_a_worker_that_could_do_no_work_does_not_start(tmp_path, settings, line):
    if settings:
        good = {
            "accounts.default": {"account_id": "a" * 32, "api_token": "token"},
            "archives.default": {"uri": f"file:{tmp_path}"},
            **settings,
        }
        tables = [
            f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
            for name, table in good.items()
        ]
        (tmp_path / "edgecap.toml").write_text("\n".join(tables))
    done = subprocess.run(
        [EDGECAP, "worker"], cwd=tmp_path, env=environment("http://127.0.0.1:1/api"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(line.format(folder=tmp_path)), done.stderr
