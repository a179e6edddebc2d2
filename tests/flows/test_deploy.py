"""`edgecap deploy` on a real Prefect server that knows nothing yet."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from deployments.local.processes import Program
from deployments.local.schedules import schedules_on
from deployments.local.setup import POOL, QUEUES, deploy_to
from deployments.local.work_pool import TEMPLATE
from tasks.runtime.prefect_server import AUTH_STRING
from tasks.runtime.rest import PrefectApi

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]
EDGECAP = Path(sys.executable).with_name("edgecap")
ROOT = Path(__file__).parents[2]
PREFECT = Path(sys.executable).with_name("prefect")
PULL = [{"deployments.checkout.enter": {}}]  # of a file that is deployed as it is


def deploy(folder, **env):
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PREFECT_") or name == AUTH_STRING
    }
    return subprocess.run(
        [EDGECAP, "deploy"], cwd=folder, env={**kept, **env}, capture_output=True, text=True, check=False
    )


def test_a_user_s_server_gets_the_queues_and_every_deployment(prefect_server, tmp_path):
    done = deploy(tmp_path, PREFECT_API_URL=prefect_server.api_url)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].strip() == "edgecap worker"
    with PrefectApi(prefect_server.prefect) as prefect:
        queues = prefect.call("POST", f"/work_pools/{POOL}/queues/filter", json={})
        assert {each["name"]: each["priority"] for each in queues if each["name"] in QUEUES} == QUEUES
        for name in (
            "capture/capture-by-program",
            "respond/incident-response",
            "reconcile/reconcile-every-10-min",
            "register-bucket/register-bucket-once",
        ):
            assert prefect.deployment(name)["work_queue_name"] in QUEUES


FILE = """\
pull:
  - deployments.checkout.enter: {}
deployments:
  - name: NAME
    entrypoint: flows/capture.py:capture
    work_pool: {name: edgecap, work_queue_name: manual}
"""


def test_a_former_name_works_until_its_runs_are_over(prefect_server, deployed, tmp_path):
    file = tmp_path / "prefect.yaml"
    with PrefectApi(prefect_server.prefect) as prefect:
        new = prefect.deployment("capture/capture-by-program")["id"]
        prefect.call("DELETE", f"/deployments/{new}")
        file.write_text(FILE.replace("NAME", "now"))
        run_deployer(prefect_server.api_url, file)
        former = prefect.deployment("capture/capture-by-program")
        assert former["name"] == "now"  # a user's own file may have it
        later = datetime.now(UTC) + timedelta(hours=1)
        run = prefect.start_run(former["id"], {}, tags=[], at=later)
        file.write_text(FILE.replace("NAME", "capture-by-program"))
        said = run_deployer(prefect_server.api_url, file)
        assert any("capture/now has another name now and is switched off" in line for line in said), said
        assert prefect.call("GET", "/deployments/name/capture/now")["paused"]
        assert prefect.run(run["id"])["state"]["type"] == "SCHEDULED"
        prefect.cancel(run["id"])
        said = run_deployer(prefect_server.api_url, file)
        assert "note: capture/now has another name now and is deleted" in said
        assert prefect.deployment("capture/capture-by-program")["name"] == "capture-by-program"
        found = prefect.call("POST", "/deployments/filter", json={})
        assert "now" not in {each["name"] for each in found}


def test_without_a_server_it_says_what_to_set(tmp_path):
    done = deploy(tmp_path)
    assert (done.returncode, done.stdout) == (15, "")
    assert done.stderr.startswith(
        "edgecap: no Prefect server is named, and no `edgecap up` runs here (PREFECT_API_URL); name a server"
    )


def test_the_example_of_the_page_is_deployed_and_leaves_with_its_line(prefect_server, tmp_path):
    """The file of docs/capture.md, and the commands of the page, as a person runs them."""
    page = (ROOT / "docs/capture.md").read_text().partition("## Schedules")[2]
    example = page.partition("```yaml\n")[2].partition("```")[0]
    assert '"*/5 * * * *"' in example
    example = example.replace("*/5 * * * *", "0 3 1 1 *")  # no run of it is due while this test runs
    name = f"dns-{uuid4().hex[:8]}"
    file = tmp_path / "prefect.yaml"
    file.write_text(example.replace("dns-every-5-min", name))
    env = {"PREFECT_API_URL": prefect_server.api_url, "EDGECAP_PREFECT_YAML": str(file)}
    gone = f"not in the file any more: capture/{name} is"
    done = deploy(tmp_path, **env)
    assert done.returncode == 0, done.stderr
    assert "1 deployment of your own: 1 new" in done.stderr
    assert f"Schedule  {name}: cron 0 3 1 1 *, UTC; next " in done.stderr
    with PrefectApi(prefect_server.prefect) as prefect:
        identity = prefect.deployment(f"capture/{name}")["id"]

        # A run of it waits: the deployment is kept until it is over, and makes no other.
        run = prefect.start_run(identity, {}, tags=[], at=datetime.now(UTC) + timedelta(hours=1))
        file.write_text("deployments: []\n")
        done = deploy(tmp_path, **env)
        assert f"{gone} switched off; a later deploy deletes it: 1 of its runs is not over" in done.stderr
        assert f"Schedule  {name}" not in done.stderr
        assert prefect.deployment(f"capture/{name}")["paused"]
        assert prefect.run(run["id"])["state"]["type"] == "SCHEDULED"
        left = prefect.find_runs({"deployment_id": {"any_": [identity]}})
        assert [each["id"] for each in left if each["state"]["type"] == "SCHEDULED"] == [run["id"]]

        # Back in the file, it is on again.
        file.write_text(example.replace("dns-every-5-min", name))
        done = deploy(tmp_path, **env)
        assert "1 deployment of your own: 0 new, 1 changed" in done.stderr
        assert prefect.deployment(f"capture/{name}")["id"] == identity
        assert not prefect.deployment(f"capture/{name}")["paused"]

        # Switched on by a person although it left the file: it stays.
        file.write_text("deployments: []\n")
        deploy(tmp_path, **env)
        prefect.call("PATCH", f"/deployments/{identity}", json={"paused": False})
        done = deploy(tmp_path, **env)
        assert f"capture/{name} left the file, but was switched on again in Prefect's UI" in done.stderr
        assert not prefect.deployment(f"capture/{name}")["paused"]
        assert name not in deploy(tmp_path, **env).stderr.replace(f"Schedule  {name}", "")

        file.write_text(example.replace("dns-every-5-min", name))
        deploy(tmp_path, **env)
        prefect.cancel(run["id"])
        file.write_text("deployments: []\n")
        assert f"{gone} deleted" in deploy(tmp_path, **env).stderr
        found = prefect.call("POST", "/deployments/filter", json={"deployments": {"name": {"any_": [name]}}})
        assert found == []


def test_what_edgecap_did_not_make_from_this_file_is_left_alone(prefect_server, tmp_path):
    """A deployment of a person's own, made with Prefect; and one that another machine's file has."""
    theirs, others = f"theirs-{uuid4().hex[:8]}", f"others-{uuid4().hex[:8]}"
    other, file = tmp_path / "other.yaml", tmp_path / "prefect.yaml"
    other.write_text(f'deployments: [{{name: {others}, schedules: [{{cron: "0 4 * * *"}}]}}]')
    file.write_text("deployments: []\n")
    env = {"PREFECT_API_URL": prefect_server.api_url}
    with PrefectApi(prefect_server.prefect) as prefect:
        assert deploy(tmp_path, **env, EDGECAP_PREFECT_YAML=str(other)).returncode == 0
        flow = prefect.deployment("capture/capture-by-program")["flow_id"]
        body = {"name": theirs, "flow_id": flow, "schedules": [{"schedule": {"interval": 86_400}}]}
        prefect.call("POST", "/deployments/", json=body)
        done = deploy(tmp_path, **env, EDGECAP_PREFECT_YAML=str(file))
        assert (
            f"capture/{others} is not in the file; it is from {socket.gethostname()}:{other}" in done.stderr
        )
        assert theirs not in done.stderr.replace(f"Schedule  {theirs}", "")
        for name in (theirs, others):
            found = prefect.deployment(f"capture/{name}")
            assert (found["paused"], [each["active"] for each in found["schedules"]]) == (False, [True])
            prefect.call("DELETE", f"/deployments/{found['id']}")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            'deployments: [{name: mine, schedules: [{cron: "every 2 minutes"}]}]',
            'schedule schedule-1: cron "every 2 minutes" is not a cron expression ({file}: deployment mine);',
        ),
        (
            "deployments: [{name: mine, colour: red}]",
            "unknown field 'colour' ({file}: deployment mine); known are",
        ),
        ("- mine", "it has no list of deployments ({file})"),
    ],
)
def test_a_file_that_is_wrong_is_one_clear_line(prefect_server, tmp_path, text, line):
    file = tmp_path / "prefect.yaml"
    file.write_text(text)
    done = deploy(tmp_path, PREFECT_API_URL=prefect_server.api_url, EDGECAP_PREFECT_YAML=str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(f"edgecap: {line.format(file=file)}")


def run_deployer(api_url, file, *options):
    """The program that `edgecap deploy` and `edgecap up` run, with another file."""
    argv = [sys.executable, "-m", "deployments.deploy.deployer", *options, file]
    env = {**environment(api_url), "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true"}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_ui_changes_stay_and_changes_of_the_file_are_deployed(prefect_server, tmp_path):
    """Restarting `edgecap up` undid what people had set."""
    api_url, tag = prefect_server.api_url, uuid4().hex[:8]
    config = {
        "entrypoint": "flows/capture.py:capture",
        "work_pool": {"name": POOL, "work_queue_name": "schedules"},
        "parameters": {"request": {"type": "simple", "time_limit": 60}},
    }
    names = [f"{tag}-{number}" for number in range(20)]
    schedule = {"cron": "0 4 * * *", "slug": "nightly", "active": False}
    said = {
        "pull": [{"deployments.checkout.enter": {}}],
        "deployments": [{**config, "name": name, "schedules": [schedule]} for name in names],
    }
    file = tmp_path / "prefect.yaml"

    def deploy_file(*options):
        file.write_text(yaml.safe_dump(said))
        return run_deployer(api_url, file, *options)

    with PrefectApi(api_url) as prefect:
        prefect.make_pool(POOL, QUEUES, TEMPLATE)
        assert deploy_file()[-1] == "20 deployments: 20 new, 0 changed, 0 unchanged"

        # A person pauses one, and switches the schedule of another on.
        paused, switched = (prefect.deployment(f"capture/{name}") for name in names[:2])
        prefect.pause(f"capture/{names[0]}")
        [nightly] = switched["schedules"]
        path = f"/deployments/{switched['id']}/schedules/{nightly['id']}"
        prefect.call("PATCH", path, json={"active": True})
        assert deploy_file()[-1] == "20 deployments: 0 new, 0 changed, 20 unchanged"
        assert prefect.deployment(f"capture/{names[0]}")["paused"]
        assert prefect.deployment(f"capture/{names[1]}")["schedules"][0]["active"]

        # The file says something anew about both.
        said["deployments"][0]["description"] = "anew"
        said["deployments"][1]["schedules"] = [{**schedule, "cron": "0 5 * * *"}]
        assert deploy_file()[-1] == "20 deployments: 0 new, 2 changed, 18 unchanged"
        first, second = (prefect.deployment(f"capture/{name}") for name in names[:2])
        assert (first["description"], first["paused"]) == ("anew", True)
        [nightly] = second["schedules"]
        assert (nightly["schedule"]["cron"], nightly["active"]) == ("0 5 * * *", True)

        del said["deployments"][2:]
        lines = deploy_file("--reset")
        assert lines[-1] == "2 deployments: 0 new, 2 changed, 0 unchanged"
        assert f"note: not in the file any more: capture/{names[2]} is deleted" in lines
        assert not prefect.deployment(f"capture/{names[0]}")["paused"]
        assert not prefect.deployment(f"capture/{names[1]}")["schedules"][0]["active"]
        assert prefect.deployment(f"capture/{names[0]}")["id"] == paused["id"]


def test_a_deploy_loses_no_run_whose_time_has_come(prefect_server, tmp_path):
    """Prefect deletes a deployment's overdue runs with any of its schedules: their windows were lost."""
    tag = uuid4().hex[:8]
    key, file = f"capture/{tag}", tmp_path / "prefect.yaml"
    far = datetime.now(UTC) + timedelta(hours=12, minutes=30)  # no run becomes due during the test
    hourly, nightly = (
        {"cron": f"{far.minute} * * * *", "slug": "hourly"},
        {"cron": f"{far.minute} {far.hour} * * *", "slug": "nightly"},
    )

    def deploy_file(*schedules, **more):
        config = {
            "name": tag,
            "entrypoint": "flows/capture.py:capture",
            "work_pool": {"name": tag},
            "parameters": {"request": {"type": "simple", "time_limit": 60}},
            "schedules": list(schedules),
            **more,
        }
        file.write_text(yaml.safe_dump({"pull": PULL, "deployments": [config]}))
        return run_deployer(prefect_server.api_url, file)

    with PrefectApi(prefect_server.prefect) as prefect:

        def schedules():
            return {each["slug"]: each["active"] for each in prefect.deployment(key)["schedules"]}

        def runs():
            found = prefect.find_runs({"deployment_id": {"any_": [identity]}})
            return {datetime.fromisoformat(run["expected_start_time"]): run["id"] for run in found}

        prefect.make_pool(tag, {}, TEMPLATE)
        deploy_file(hourly, nightly)
        identity = prefect.deployment(key)["id"]
        began = datetime.now(UTC)
        span = {
            "start_time": (began - timedelta(hours=2, minutes=30)).isoformat(),
            "end_time": began.isoformat(),
        }
        prefect.call("POST", f"/deployments/{identity}/schedule", json=span)
        overdue = {time: run for time, run in runs().items() if time < began}
        assert len(overdue) in (2, 3)

        lines = deploy_file(nightly)
        assert overdue.items() <= runs().items()
        assert schedules() == {"hourly": False, "nightly": True}
        assert f"the {len(overdue)} overdue runs of this deployment with it" in "\n".join(lines)
        to_come = [time for time in runs() if time > began]
        assert to_come, "nobody waits for the scheduler"
        assert {time.hour for time in to_come} == {far.hour}

        # Nothing new in the file, and they still wait.
        assert deploy_file(nightly)[-1] == "1 deployment: 0 new, 0 changed, 1 unchanged"
        assert overdue.items() <= runs().items()

        for run in overdue.values():
            prefect.call("DELETE", f"/flow_runs/{run}")
        assert deploy_file(nightly)[-1] == "1 deployment: 0 new, 1 changed, 0 unchanged"
        assert schedules() == {"nightly": True}
        assert {time.hour for time in runs() if time > began} == {far.hour}
        assert deploy_file(nightly)[-1] == "1 deployment: 0 new, 0 changed, 1 unchanged"
        prefect.pause(key)


def test_a_run_that_is_due_during_the_deploy_is_not_lost(prefect_server, tmp_path):
    """After a change Prefect makes a deployment's runs anew only from some seconds later on."""
    tag, file = uuid4().hex[:8], tmp_path / "prefect.yaml"
    config = {
        "name": tag,
        "entrypoint": "flows/capture.py:capture",
        "work_pool": {"name": tag},
        "parameters": {"request": {"type": "simple", "time_limit": 60}},
        "schedules": [{"interval": 2, "anchor_date": "2026-01-01T00:00:00+00:00", "slug": "often"}],
    }
    with PrefectApi(prefect_server.prefect) as prefect:

        def deploy_anew(description):
            config["description"] = description
            file.write_text(yaml.safe_dump({"pull": PULL, "deployments": [config]}))
            run_deployer(prefect_server.api_url, file)
            return datetime.now(UTC)

        def times():
            wanted = {
                "deployment_id": {"any_": [prefect.deployment(f"capture/{tag}")["id"]]},
                "expected_start_time": {"after_": began.isoformat()},
            }
            found = prefect.find_runs(wanted)
            return {datetime.fromisoformat(run["expected_start_time"]) for run in found}

        def times_until(moment):
            deadline = time.monotonic() + 240
            while not (made := times()) or max(made) < moment:
                assert time.monotonic() < deadline, "Prefect makes no runs"
                time.sleep(1)
            return made

        prefect.make_pool(tag, {}, TEMPLATE)
        began = deploy_anew("new")
        began = min(times_until(began))  # a new deployment has no runs before Prefect looks at it
        deploy_anew("changed")
        ended = deploy_anew("changed again")
        made = times_until(ended + timedelta(seconds=10))
        prefect.pause(f"capture/{tag}")
    wanted = {began + timedelta(seconds=2 * number) for number in range((max(made) - began).seconds // 2)}
    assert not wanted - made


def test_prefects_own_command_takes_the_file_too(prefect_server):
    """`prefect deploy --all`, but for one deployment only: each takes seconds."""
    with PrefectApi(prefect_server.prefect) as prefect:
        prefect.make_pool(POOL, QUEUES, TEMPLATE)
        argv = [PREFECT, "--no-prompt", "deploy", "--name", "reconcile-every-10-min"]
        env = environment(prefect_server.api_url)
        done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        deployment = prefect.deployment("reconcile/reconcile-every-10-min")
        assert deployment["pull_steps"] == [{"deployments.checkout.enter": {}}]
        owned = prefect.call("GET", f"/automations/related-to/prefect.deployment.{deployment['id']}")
        assert len(owned) == 5


def environment(api_url):
    """That of a person's shell with an activated environment: nothing says where the settings are."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("EDGECAP_", "PREFECT_")) or name == AUTH_STRING
    }
    path = f"{EDGECAP.parent}:{kept['PATH']}"
    return {**kept, "PATH": path, "PREFECT_API_URL": api_url, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}


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


def test_a_file_of_ones_own_is_deployed(prefect_server, tmp_path):
    tag = uuid4().hex[:8]
    captures = {
        "entrypoint": "flows/capture.py:capture",
        "work_pool": {"name": POOL, "work_queue_name": "schedules"},
        "parameters": {"request": {"type": "simple", "time_limit": 60}},
    }
    said = {
        "pull": [{"deployments.checkout.enter": {}}],
        "deployments": [
            {**captures, "name": f"{tag}-on", "schedules": [{"cron": "0 4 * * *", "timezone": "UTC"}]},
            {**captures, "name": f"{tag}-off", "schedules": [{"cron": "0 5 * * *", "active": False}]},
            {**captures, "name": f"{tag}-paused", "paused": True, "schedules": [{"cron": "0 6 * * *"}]},
        ],
    }
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(said))
    done = deploy_to(prefect_server.api_url, log=tmp_path / "deploy.log", file=file)
    assert done.startswith("3 deployments: 3 new")
    with PrefectApi(prefect_server.prefect) as prefect:
        assert set(QUEUES) <= prefect.queues(POOL)
        ours = [line for line in schedules_on(prefect) if line.startswith(tag)]
    now = datetime.now(UTC)
    due = now.replace(hour=4, minute=0, second=0) + timedelta(days=now.hour >= 4)
    assert ours == [f"{tag}-on: cron 0 4 * * *, UTC; next {due:%Y-%m-%d %H:%M:%S} UTC"]
