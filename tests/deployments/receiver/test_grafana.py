"""What Grafana sends, to a real receiver: no package has its server, so its own tests' messages stand for it.

The form is that of `TestNotify` in github.com/grafana/alerting receivers/webhook/v1/webhook_test.go (the
fields of a message and of an alert, also `orgId` and `values`) and of the example in Grafana's documentation
of the webhook contact point. Labels, addresses and times are our own. The ends have the form of Grafana 12,
whose `startsAt` can be that of the end.
"""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.deployments.conftest import http, until

SECRET = "what-grafana-knows"
TARGET = "203.0.113.60"
FINGERPRINTS = {"Loss": "fac0861a85de433a", "Flood": "fab6861a85d5eeb5"}


def moment(when):
    return when.isoformat().replace("+00:00", "Z")


def message(name, status, *, began, ended=None, severity="info", **labels):
    """A notification about one alert."""
    labels = {"alertname": name, "target_ip": TARGET, "severity": severity, **labels}
    firing = status == "firing"
    alert = {
        "status": status,
        "labels": labels,
        "annotations": {"summary": f"{name} at the edge"},
        "startsAt": moment(began),
        "endsAt": moment(ended) if ended else "0001-01-01T00:00:00Z",
        "generatorURL": "http://localhost/test?orgId=1",
        "fingerprint": FINGERPRINTS[name],
        "silenceURL": "http://localhost/alerting/silence/new?alertmanager=grafana&orgId=1",
        "dashboardURL": "http://localhost/d/abcd?orgId=1",
        "panelURL": "http://localhost/d/abcd?orgId=1&viewPanel=efgh",
        "values": {"B": 44.23943737541908, "C": 1},
        "orgId": 1,
    }
    return {
        "receiver": "my_receiver",
        "status": status,
        "alerts": [alert],
        "groupLabels": {"alertname": name},
        "commonLabels": labels,
        "commonAnnotations": {},
        "externalURL": "http://localhost",
        "version": "1",
        "groupKey": "alertname",
        "truncatedAlerts": 0,
        "orgId": 1,
        "title": f"[{'FIRING' if firing else 'RESOLVED'}:1]  ({severity})",
        "state": "alerting" if firing else "ok",
        "message": "**Firing**\n\nValue: [no value]\n",
    }


@pytest.fixture
def receiver(command, prefect):
    prefect.start()
    command.env = {"PREFECT_API_URL": prefect.api_url, "EDGECAP_ALERTS__GRAFANA__SECRET": SECRET}
    command.start()
    return command


@pytest.fixture
def tell(receiver):
    """Sends a message as Grafana 12 signs it; the alerts as the receiver judged them so far."""
    sent = 0

    def send(name, status, **given):
        nonlocal sent
        body = json.dumps(message(name, status, **given)).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        signed = {"X-Grafana-Alerting-Signature": signature}
        http.post(f"{receiver.address}/alerts/grafana", content=body, headers=signed).raise_for_status()
        sent += 1
        with receiver.inbox as inbox:
            until(lambda: len(inbox.alerts(1000)) == sent)
            return str(inbox.alerts(1)[0].outcome)

    return send


def test_fire_escalate_flap_and_resolve_with_a_kill_in_the_middle(receiver, tell, prefect):
    began = datetime.now(UTC)
    assert tell("Loss", "firing", began=began) == "opened"
    flood = {"began": began + timedelta(seconds=1), "severity": "critical", "colo": "ORD"}
    assert tell("Flood", "firing", **flood) == "escalated"
    receiver.process.kill()
    receiver.process.wait()
    receiver.start()
    assert tell("Flood", "firing", **flood) == "repeated", "Grafana sends it again every few hours"
    for flap in range(3):
        over = datetime.now(UTC)
        assert tell("Loss", "resolved", began=over, ended=over) == "joined", flap
        assert tell("Loss", "firing", began=datetime.now(UTC)) == "joined"
    over = datetime.now(UTC)
    assert tell("Loss", "resolved", began=over, ended=over) == "joined"
    with receiver.inbox as inbox:
        [incident] = inbox.incidents()
    assert incident.closed is None, "the flood goes on"
    over = datetime.now(UTC)
    assert tell("Flood", "resolved", **flood | {"began": over, "ended": over}) == "ended"
    with receiver.inbox as inbox:
        [incident] = inbox.incidents()
    assert incident.closed
    assert (incident.joined, incident.escalations) == (4, 1)  # an end joins nothing
    until(lambda: len(prefect.runs) == 3)
    runs = [run["parameters"] for run in prefect.runs]
    assert [run["event"] for run in runs] == ["start", "escalation", "end"]
    assert runs[1]["plan"]["captures"][-1]["request"]["colo"] == "ORD"
    assert runs[2]["plan"]["captures"][0]["request"]["filter"]["destination_address"] == TARGET


def test_alerts_that_grafana_cut_off_are_noted(receiver):
    cut = message("Flood", "firing", began=datetime.now(UTC)) | {"truncatedAlerts": 1}
    signed = {"Authorization": f"Bearer {SECRET}"}
    http.post(f"{receiver.address}/alerts/grafana", json=cut, headers=signed).raise_for_status()
    with receiver.inbox as inbox:
        until(lambda: inbox.missed.newest(["cut off"], 1))
        [note] = inbox.missed.newest(["cut off"], 1)
        assert "left 1 alert out" in note.reason
        assert inbox.incidents()[0].alert.left_out == 1
