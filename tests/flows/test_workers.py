"""`edgecap worker` on a real Prefect server: whose settings it uses, and when it refuses to start."""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from deployments.local.processes import Program
from deployments.local.setup import POOL
from tasks.runtime.prefect_server import AUTH_STRING
from tasks.runtime.rest import PrefectApi
from tests.flows.deploying import EDGECAP, deploy, environment

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]
PREFECT = Path(sys.executable).with_name("prefect")


def test_workers_in_folders_of_their_own_use_the_settings_that_lie_there(
    prefect_server, world, tmp_path, monkeypatch
):
    """`edgecap worker`, and Prefect's own command, in folders that have an edgecap.toml."""
    for name in [name for name in os.environ if name.startswith(("EDGECAP_", "PREFECT_"))]:
        if name != AUTH_STRING:
            monkeypatch.delenv(name)
    assert deploy(tmp_path, PREFECT_API_URL=prefect_server.api_url).returncode == 0
    commands = {
        "manual": [PREFECT, "worker", "start", "--pool", POOL, "--type", "process", "--work-queue", "manual"],
        "schedules": [EDGECAP, "worker", "--queue", "schedules"],
    }
    with PrefectApi(prefect_server.prefect) as prefect, ExitStack() as programs:
        now, runs = prefect.deployment("capture/capture-by-program")["id"], {}
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
            runs[queue] = prefect.call("POST", f"/deployments/{now}/create_flow_run", json=body)["id"]
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
            found = [json.loads(path.read_text()) for path in (tmp_path / queue).rglob("manifest.json")]
            # The queue may hold a run that another test's schedule has made, which the worker takes, too.
            assert len([manifest for manifest in found if manifest["intent"]["run"].startswith(run)]) == 1
        # A second one with the first one's name, and one with that name in another folder.
        argv = [*commands["schedules"], "--name", name_of_worker(tmp_path / "schedules" / "log")]
        for home in ("schedules/.edgecap", "elsewhere"):
            done = subprocess.run(
                argv,
                cwd=tmp_path / "schedules",
                env={**environment(prefect_server.api_url), "EDGECAP_HOME": str(tmp_path / home)},
                capture_output=True,
                text=True,
                check=False,
                timeout=240,  # a worker that is not refused stays
            )
            assert done.returncode == 15, done.stdout + done.stderr
            assert "is already running" in done.stderr


def name_of_worker(log):
    """As the command says it."""
    [line] = [line for line in log.read_text().splitlines() if line.startswith("Worker  ")]
    return line.split()[1].rstrip(",")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (None, "edgecap: no account is called 'default' (known: none); there is no {folder}/edgecap.toml"),
        ({"accounts.default": {"account_id": "a" * 32}}, "edgecap: account 'default' has no credentials"),
        ({"archives.default": {"uri": "file:archive"}}, "edgecap: archive 'default' is a relative folder"),
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
