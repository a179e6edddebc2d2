"""Alertmanager and Grafana: lists of alerts, each of which stands by itself."""

from datetime import UTC, datetime

import pytest

from edgecap.alerts.sources import alertmanager, grafana
from edgecap.errors import AlertNotUnderstood


def test_alertmanager_s_firing_and_resolved_alerts_in_one_notification(payload, received):
    firing, resolved = alertmanager.parse(payload("alertmanager", "firing-and-resolved"), received=received)
    assert str(firing) == "alertmanager EdgePacketLoss start critical 203.0.113.20:443"
    assert str(resolved) == "alertmanager EdgePacketLoss end critical 203.0.113.21:443"
    assert firing.started == datetime(2026, 11, 23, 6, 30, 12, 345_000, tzinfo=UTC)
    assert (firing.ended, resolved.ended) == (None, datetime(2026, 11, 23, 6, 29, tzinfo=UTC))
    assert (firing.protocol, resolved.protocol) == (6, None)
    assert firing.title == "loss above 2 %"
    assert firing.incident != resolved.incident
    assert [each["fingerprint"] for each in firing.raw["alerts"]] == ["5f972974ccf1ee9b"]


def test_labels_and_annotations_name_the_packets(payload, received):
    (alert,) = alertmanager.parse(payload("alertmanager", "labels-of-traffic"), received=received)
    assert (alert.targets, alert.target_port, alert.protocol) == (("203.0.113.30",), 53, 17)
    assert alert.source_addresses == ("198.51.100.1", "198.51.100.2")
    assert alert.colos == ("ams01", "FRA")
    assert (alert.pps, alert.bps, alert.severity) == (310_000, 1.2e9, "critical")
    assert alert.started == datetime(2026, 11, 23, 5, 30, 0, 123_456, tzinfo=UTC)
    assert alert.notes == ()


def resolve(body, when="2026-11-23T06:40:00Z"):
    for alert in body["alerts"]:
        alert.update(status="resolved", endsAt=when)
    return body


@pytest.mark.parametrize(
    ("module", "name"),
    [(alertmanager, "labels-of-traffic"), (grafana, "firing"), (alertmanager, "firing-and-resolved")],
)
def test_a_repeat_is_the_same_alert_and_its_end_the_same_incident(module, name, payload, received):
    source = module.NAME
    first = module.parse(payload(source, name), received=received)[0]
    again = module.parse(payload(source, name), received=received.replace(hour=9))[0]
    end = module.parse(resolve(payload(source, name)), received=received)[0]
    assert (again.identity, again.incident) == (first.identity, first.incident)
    assert (end.event, end.incident) == ("end", first.incident)
    assert end.identity != first.identity


def test_firing_again_tomorrow_is_another_incident(payload, received):
    body = payload("alertmanager", "labels-of-traffic")
    first = alertmanager.parse(body, received=received)[0]
    body["alerts"][0]["startsAt"] = "2026-11-24T06:30:00Z"
    assert alertmanager.parse(body, received=received)[0].incident != first.incident


def test_without_a_fingerprint_labels_in_any_order_make_one(payload, received):
    body = payload("alertmanager", "labels-of-traffic")
    del body["alerts"][0]["fingerprint"]
    first = alertmanager.parse(body, received=received)[0]
    labels = body["alerts"][0]["labels"]
    body["alerts"][0]["labels"] = dict(reversed(labels.items()))
    assert alertmanager.parse(body, received=received)[0].identity == first.identity
    labels["target_ip"] = "203.0.113.31"
    body["alerts"][0]["labels"] = labels
    assert alertmanager.parse(body, received=received)[0].identity != first.identity


@pytest.mark.parametrize(
    ("labels", "targets", "port"),
    [
        ({"instance": "203.0.113.20:443"}, ("203.0.113.20",), 443),
        ({"instance": "web-1:9100"}, (), None),
        ({"instance": "198.51.100.1:9100", "target_ip": "203.0.113.20"}, ("203.0.113.20",), None),
        ({"instance": "198.51.100.1:9100", "target_ip": "203.0.113.20", "port": "80"}, ("203.0.113.20",), 80),
        ({"target": "[2001:db8::7]:53"}, ("2001:db8::7",), 53),
        ({"destination_ip": "203.0.113.20/32", "dst_port": "0"}, ("203.0.113.20",), None),
        ({}, (), None),
    ],
)
def test_which_labels_name_the_target(labels, targets, port, payload, received):
    body = payload("alertmanager", "firing-and-resolved")
    body["alerts"] = [{**body["alerts"][0], "labels": labels}]
    (alert,) = alertmanager.parse(body, received=received)
    assert (alert.targets, alert.target_port) == (targets, port)
    assert alert.notes == ()


@pytest.mark.parametrize(
    "change",
    [
        {"labels": None},
        {"labels": []},
        {"labels": {"alertname": None, "severity": 3}},
        {"annotations": "text"},
        {"startsAt": None, "endsAt": 7, "fingerprint": None},
        {"status": None},
    ],
)
def test_an_alert_may_lack_fields(change, payload, received):
    body = payload("alertmanager", "firing-and-resolved")
    body["alerts"] = [{**body["alerts"][0], **change}]
    (alert,) = alertmanager.parse(body, received=received)
    assert alert.event == "start"


def test_a_resolved_alert_without_an_end_ended_when_it_arrived(payload, received):
    body = resolve(payload("grafana", "firing"), when="0001-01-01T00:00:00Z")
    assert grafana.parse(body, received=received)[0].ended == received


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({}, "no list of alerts"),
        ({"alerts": []}, "no list of alerts"),
        ({"alerts": {}}, "no list of alerts"),
        ({"alerts": [{}, None]}, r"alerts\[1\] is null, not an object"),
        ({"alerts": ["x"]}, r"alerts\[0\] is text, not an object"),
    ],
)
@pytest.mark.parametrize("module", [alertmanager, grafana])
def test_a_payload_without_a_list_of_alerts_is_refused(module, body, what, received):
    with pytest.raises(AlertNotUnderstood, match=what) as caught:
        module.parse(body, received=received)
    assert f"alert from {module.NAME}" in str(caught.value)


def test_reads_every_field_of_a_grafana_alert(payload, received):
    (alert,) = grafana.parse(payload("grafana", "firing"), received=received)
    assert str(alert) == "grafana Syn rate start critical 203.0.113.40:443"
    assert alert.started == datetime(2026, 11, 23, 5, 30, 3, 157_076, tzinfo=UTC)
    assert alert.title == "SYN rate to 203.0.113.40 is high"
    assert alert.text == "SYNs a second above 50,000"
    assert alert.labels["generatorURL"].startswith("https://grafana.example.net/")
    (resolved,) = grafana.parse(payload("grafana", "resolved"), received=received)
    assert (resolved.event, resolved.incident) == ("end", alert.incident)
    assert resolved.ended == datetime(2026, 11, 23, 5, 41, 3, 157_076, tzinfo=UTC)


def test_grafana_s_test_button_is_a_ping_even_with_own_labels(payload, received):
    body = payload("grafana", "test-button")
    body["alerts"][0]["labels"]["target_ip"] = "203.0.113.40"
    assert grafana.is_ping(body)
    assert grafana.parse(body, received=received) == []


@pytest.mark.parametrize(
    "body",
    [{"alerts": [{"labels": {"alertname": "TestAlert"}}]}, {"alerts": []}, {"alerts": [None]}, {}, [], None],
)
def test_only_grafanas_test_is_a_ping(body):
    assert not grafana.is_ping(body)


@pytest.mark.parametrize("kind", ["DatasourceNoData", "DatasourceError"])
@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_a_query_of_grafana_s_that_failed_is_no_attack(kind, status, payload, received):
    body = payload("grafana", "firing")
    body["alerts"][0]["status"] = status
    body["alerts"][0]["labels"] |= {"alertname": kind, "rulename": "Syn rate"}
    assert grafana.parse(body, received=received)[0].event == "other"


@pytest.mark.parametrize(
    ("ends", "event"), [("2026-11-23T06:31:00Z", "end"), ("2026-11-23T07:31:00Z", "start")]
)
def test_without_a_status_the_end_s_time_tells(ends, event, payload, received):
    body = payload("alertmanager", "firing-and-resolved")
    del body["status"]
    body["alerts"] = [{**body["alerts"][0], "endsAt": ends}]
    del body["alerts"][0]["status"]
    assert alertmanager.parse(body, received=received)[0].event == event


@pytest.mark.parametrize("in_groups", [True, False])
def test_what_alertmanager_s_api_answers_can_be_sent_on(in_groups, payload, received):
    """`/api/v2/alerts/groups` has groups of alerts, and `/api/v2/alerts` alerts; `status` is an object."""
    states = {"active": "start", "unprocessed": "start", "suppressed": "other"}
    alerts = []
    for number, state in enumerate(states):
        one = dict(payload("alertmanager", "firing-and-resolved")["alerts"][0])
        one["status"] = {"state": state, "inhibitedBy": [], "silencedBy": []}
        alerts.append({**one, "fingerprint": f"{number}", "endsAt": "2026-11-23T06:35:00Z"})
    body = [{"alerts": alerts[:1], "labels": {}}, {"alerts": alerts[1:]}] if in_groups else alerts
    assert [each.event for each in alertmanager.parse(body, received=received)] == [*states.values()]


@pytest.mark.parametrize("module", [alertmanager, grafana])
def test_the_summary_names_the_target_if_no_label_does(module, received):
    one = {"status": "firing", "labels": {"alertname": "x", "instance": "10.0.0.5:9100"}}
    one["annotations"] = {"summary": "flood on 203.0.113.20 from 198.51.100.7"}
    (alert,) = module.parse({"alerts": [one]}, received=received)
    assert (alert.targets, alert.local_targets) == (("203.0.113.20",), ())
    assert alert.notes == ("the target 203.0.113.20 was read from the title",)
    one["labels"]["target_ip"] = "203.0.113.21"
    (alert,) = module.parse({"alerts": [one]}, received=received)
    assert (alert.targets, alert.notes) == (("203.0.113.21",), ())
