"""PagerDuty's v3 events."""

from datetime import UTC, datetime

import pytest

from edgecap.alerts.sources.pagerduty import is_ping, parse
from edgecap.errors import AlertNotUnderstood


@pytest.fixture
def one(payload, received):
    def parse_one(name, **data):
        body = payload("pagerduty", name)
        body["event"]["data"].update(data)
        (alert,) = parse(body, received=received)
        return alert

    return parse_one


def test_reads_every_field_of_a_triggered_incident(one):
    alert = one("incident-triggered")
    assert str(alert) == "pagerduty Edge network start critical 203.0.113.50"
    assert alert.started == datetime(2026, 11, 23, 6, 31, 2, tzinfo=UTC)
    assert alert.title == "DDoS towards 203.0.113.50 (edge)"
    assert alert.labels["event_type"] == "incident.triggered"
    assert alert.notes == ("the target 203.0.113.50 was read from the title",)


def test_events_about_one_incident_share_its_id(one):
    names = ["incident-triggered", "incident-acknowledged", "incident-annotated", "incident-resolved"]
    alerts = [one(name) for name in names]
    assert [alert.event for alert in alerts] == ["start", "other", "other", "end"]
    assert len({alert.incident for alert in alerts}) == 1
    assert len({alert.identity for alert in alerts}) == 4
    assert alerts[-1].ended == datetime(2026, 11, 23, 6, 55, 10, 500_000, tzinfo=UTC)


def test_a_second_delivery_is_the_same_alert(one):
    assert one("incident-triggered", urgency="low").identity == one("incident-triggered").identity


def test_another_event_about_the_same_incident_is_another_alert(payload, received):
    body = payload("pagerduty", "incident-triggered")
    first = parse(body, received=received)[0]
    body["event"].update(id="01ANOTHER", event_type="incident.reopened", occurred_at="2026-11-23T08:00:00Z")
    reopened = parse(body, received=received)[0]
    assert (reopened.event, reopened.incident) == ("start", first.incident)
    assert reopened.identity != first.identity
    assert reopened.started == datetime(2026, 11, 23, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("title", "targets"),
    [
        ("loss", ()),
        ("203.0.113.1 cannot reach 203.0.113.2", ()),
        ("203.0.113.1 is flooded", ("203.0.113.1",)),
        (None, ()),
    ],
)
def test_a_target_is_read_from_a_title_that_names_exactly_one(one, title, targets):
    assert one("incident-triggered", title=title).targets == targets


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({"priority": None}, "high"),
        ({"priority": None, "urgency": "low"}, "low"),
        ({"priority": "P1"}, "high"),
        ({"priority": {"summary": "P4"}}, "low"),
        ({"priority": None, "urgency": None}, "unknown"),
    ],
)
def test_priority_counts_before_urgency(one, changes, severity):
    assert one("incident-triggered", **changes).severity == severity


def test_the_test_event_is_a_ping(payload, received):
    assert is_ping(payload("pagerduty", "ping"))
    assert parse(payload("pagerduty", "ping"), received=received) == []
    assert not is_ping(payload("pagerduty", "incident-triggered"))


@pytest.mark.parametrize("data", [None, [], "x", {}, {"id": 5}, {"type": "incident", "id": None}])
def test_an_event_may_lack_most_fields(data, payload, received):
    body = payload("pagerduty", "incident-triggered")
    body["event"]["data"] = data
    (alert,) = parse(body, received=received)
    assert (alert.kind, alert.event) == ("incident.triggered", "start")


@pytest.mark.parametrize(
    "body", [{}, {"event": None}, {"event": []}, {"event": {"id": "x"}}, {"messages": [{}]}]
)
def test_a_payload_without_an_event_is_refused(body, received):
    with pytest.raises(AlertNotUnderstood, match="no event with an event_type"):
        parse(body, received=received)
