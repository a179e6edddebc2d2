"""Datadog's webhooks: the payload of docs/alerts/datadog.md, and Datadog's own default."""

from datetime import UTC, datetime

import pytest

from edgecap.alerts.sources.datadog import parse
from edgecap.errors import AlertNotUnderstood


@pytest.fixture
def one(payload, received):
    def parse_one(name, **changes):
        (alert,) = parse({**payload("datadog", name), **changes}, received=received)
        return alert

    return parse_one


def test_reads_every_field_of_a_triggered_monitor(one):
    alert = one("triggered")
    assert str(alert) == "datadog metric_alert_monitor start high 203.0.113.60:53"
    assert alert.started == datetime(2026, 11, 23, 6, 31, 5, tzinfo=UTC)
    assert (alert.protocol, alert.colos) == (17, ("ord02",))
    assert alert.labels["env"] == "prod"
    assert alert.labels["link"].startswith("https://app.datadoghq.com/")
    assert alert.notes == ()


def test_reminders_are_the_same_alert_and_recovery_the_same_incident(one):
    triggered, reminder, recovered = one("triggered"), one("renotify"), one("recovered")
    assert reminder.identity == triggered.identity
    assert (recovered.event, recovered.incident) == ("end", triggered.incident)
    assert recovered.identity != triggered.identity
    assert recovered.ended == datetime(2026, 11, 23, 6, 51, 5, tzinfo=UTC)


def test_another_cycle_is_another_incident(one):
    assert one("triggered", alert_cycle_key="42").incident != one("triggered").incident


@pytest.mark.parametrize(
    ("transition", "event"),
    [
        ("Re-Triggered", "start"),
        ("Warn", "start"),
        ("No Data", "other"),
        ("Recovered", "end"),
        ("Muted", "other"),
    ],
)
def test_transitions(one, transition, event):
    assert one("triggered", alert_transition=transition).event == event


def test_datadog_s_default_payload_is_told_apart_by_its_title(one):
    triggered, recovered = one("default-payload-triggered"), one("default-payload-recovered")
    assert (triggered.event, recovered.event) == ("start", "end")
    assert triggered.incident == recovered.incident
    assert triggered.targets == ("203.0.113.61",)
    assert "read from the title" in triggered.notes[0]


def test_each_event_of_the_default_payload_is_an_alert(one):
    """It has no key for a cycle, and next week's attack must not be taken for this one."""
    again = one("default-payload-triggered", id="99", date="1796020265000")
    assert again.identity != one("default-payload-triggered").identity
    assert one("default-payload-triggered").identity == one("default-payload-triggered").identity


def test_the_payload_may_name_its_own_kind(one):
    assert one("triggered", kind="udp flood").kind == "udp flood"


def test_variables_that_datadog_left_in_place_are_missing_values(one):
    alert = one("triggered", alert_scope="$ALERT_SCOPE", hostname="$HOSTNAME", alert_priority="$TAGS[x]")
    assert "hostname" not in alert.labels
    assert alert.targets == ("203.0.113.60",)


@pytest.mark.parametrize(
    "tags",
    ["target:203.0.113.62, x", ["target:203.0.113.62", 5, None], "a:b,target:203.0.113.62,target:1.1.1.1"],
)
def test_tags_as_text_or_as_a_list(one, tags):
    assert one("triggered", tags=tags, alert_scope="").targets == ("203.0.113.62",)


@pytest.mark.parametrize("tags", [None, "", 5, {}, [[]], "::::,,,"])
def test_useless_tags_are_ignored(one, tags):
    assert one("triggered", tags=tags).targets == ("203.0.113.60",)


@pytest.mark.parametrize("body", [{}, {"title": ""}, {"title": "$EVENT_TITLE"}, {"body": "x", "tags": "a:b"}])
def test_a_payload_without_title_and_id_is_refused(body, received):
    with pytest.raises(AlertNotUnderstood, match="no title and no id"):
        parse(body, received=received)
