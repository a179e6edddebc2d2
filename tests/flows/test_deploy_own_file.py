"""A user's own `prefect.yaml`, deployed to a real Prefect server."""

import socket
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import yaml

from deployments.local.schedules import schedules_on
from deployments.local.setup import POOL, QUEUES, deploy_to
from tasks.runtime.rest import PrefectApi
from tests.flows.deploying import ROOT, deploy

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]


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
