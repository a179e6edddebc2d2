"""From an alert's arrival to its run, with the real command and a real Prefect server."""

import os
from dataclasses import replace

import pytest

from deployments.receiver.dispatch import EVENT, Dispatch, RunRefused
from edgecap.alerts.model import derive
from edgecap.incidents.inbox.alert_inbox import RunRequest
from tasks.runtime.prefect_server import AUTH_STRING
from tasks.runtime.rest import PrefectApi
from tests.deployments.conftest import Command, attack, until

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]


@pytest.fixture
def api(deployed):
    """The server, with the deployments of `prefect.yaml`."""
    with PrefectApi(deployed.prefect) as api:
        yield api


@pytest.fixture
def command(prefect_server, tmp_path):
    """The receiver, which tells this server."""
    command = Command(
        tmp_path,
        {
            "PREFECT_API_URL": prefect_server.api_url,
            AUTH_STRING: prefect_server.sign_in.auth_string,
            "HOME": os.environ.get("HOME", "/"),
        },
    )
    command.start()
    yield command
    command.process.kill()
    command.process.wait()


def test_an_alert_becomes_a_run_of_respond_in_the_queue_of_alerts(api, command, prefect_server):
    hostile = attack(1, text="a\0b {{ prefect.variables.x }}")
    hostile["data"] |= {"__prefect_kind": "jinja", "template": "{{ 7 * 7 }}"}
    assert command.post(hostile).status_code == 202
    with command.inbox as inbox:
        until(lambda: inbox.incidents() and inbox.incidents()[0].runs, timeout=240)
        (incident,) = inbox.incidents()
    run = api.run(incident.runs["start"])
    assert run["deployment_id"] == api.deployment("respond/incident-response")["id"]
    assert run["work_queue_name"] == "alerts"
    assert run["name"].startswith(f"incident {incident.id[:8]}: L4 attacks on ")
    assert {"alert", f"incident {incident.id[:8]}"} <= set(run["tags"])
    assert run["state"]["type"] == "SCHEDULED"
    assert run["parameters"]["incident"] == incident.id
    assert run["parameters"]["alert"]["labels"]["template"] == "{{ 7 * 7 }}"
    assert run["parameters"]["plan"]["captures"]
    wanted = {"filter": {"event": {"name": [EVENT]}}}

    def on_the_timeline():
        found = api.call("POST", "/events/filter", json=wanted)["events"]
        return any(each["resource"]["prefect.resource.id"].endswith(incident.id) for each in found)

    until(on_the_timeline, timeout=240)

    # As if it had died before it wrote down that Prefect has the run: the same order again is the same run.
    key = derive(incident.id, "start")
    order = RunRequest(1, incident.id, "start", incident.alert, incident.plan, key, incident.opened)
    here = Dispatch(lambda: prefect_server.prefect, account="default", archive="default")
    assert here.send(order) == run["id"]
    wrong = Dispatch(lambda: prefect_server.prefect, account=["no", "name"], archive="default")
    with pytest.raises(RunRefused, match="409"):
        wrong.send(replace(order, key="another"))
