"""`edgecap deploy` on a real Prefect server that knows nothing yet."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from deployments.local.setup import POOL, QUEUES
from deployments.local.work_pool import TEMPLATE
from tasks.runtime.rest import PrefectApi
from tests.flows.deploying import ROOT, deploy, environment

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]
PREFECT = Path(sys.executable).with_name("prefect")
PULL = [{"deployments.checkout.enter": {}}]  # of a file that is deployed as it is
FILE = """\
pull:
  - deployments.checkout.enter: {}
deployments:
  - name: NAME
    entrypoint: flows/capture.py:capture
    work_pool: {name: edgecap, work_queue_name: manual}
"""


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
