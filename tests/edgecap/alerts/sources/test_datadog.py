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
        ("Recovered from No Data", "end"),
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


class TestDefaultPayload:
    """What Datadog sends without a payload of one's own: only the title tells what happened."""

    @pytest.fixture
    def titled(self, one):
        def parse_title(title, **changes):
            return one("default-payload-triggered", title=title, **changes)

        return parse_title

    @pytest.mark.parametrize(
        ("title", "event", "severity"),
        [
            ("[Triggered on {target:203.0.113.7}] DDoS pps", "start", "high"),
            ("[P2] [Triggered on {target:203.0.113.7}] DDoS pps", "start", "high"),
            ("[P1] [Triggered] DDoS pps to 203.0.113.7", "start", "critical"),
            ("[Re-Triggered on {target:203.0.113.7}] DDoS pps", "start", "high"),
            ("[P4] [Re-Triggered on {target:203.0.113.7}] DDoS pps", "start", "low"),
            ("[Warn on {target:203.0.113.7}] DDoS pps", "start", "medium"),
            ("[P3] [Re-Warn on {target:203.0.113.7}] DDoS pps", "start", "medium"),
            ("[P1] [Warn on {target:203.0.113.7}] DDoS pps", "start", "medium"),
            ("[P4] [Warn on {target:203.0.113.7}] DDoS pps", "start", "low"),
            ("[TEST] [P2] [Triggered on {target:203.0.113.7}] DDoS pps", "start", "high"),
            ("[TEST] [P2] [Recovered on {target:203.0.113.7}] DDoS pps", "end", "high"),
            ("P2 Triggered: DDoS pps to 203.0.113.7", "start", "high"),
            ("P2 Recovered: DDoS pps to 203.0.113.7", "end", "high"),
            ("[Monitor Alert] Recovered: DDoS pps to 203.0.113.7", "end", "unknown"),
            ("[Triggered] 203.0.113.7 has not recovered: DDoS pps", "start", "high"),
            ("[P5] [Renotify on {target:203.0.113.7}] DDoS pps", "start", "info"),
            ("[Re-notify on {target:203.0.113.7}] DDoS pps", "start", "high"),
            ("[Recovered on {target:203.0.113.7}] DDoS pps", "end", "unknown"),
            ("[P2] [Recovered on {target:203.0.113.7}] DDoS pps", "end", "high"),
            ("[P2] [Recovered] DDoS pps to 203.0.113.7", "end", "high"),
            ("[No data on {target:203.0.113.7}] DDoS pps", "other", "unknown"),
            ("[P2] [No Data on (target:203.0.113.7)] DDoS pps", "other", "high"),
            ("[P2] [Re-No Data on {target:203.0.113.7}] DDoS pps", "other", "high"),
            ("  [p2]  [recovered on {target:203.0.113.7}]  DDoS pps", "end", "high"),
        ],
    )
    def test_the_title_tells_priority_and_transition(self, titled, title, event, severity):
        alert = titled(title)
        assert (alert.event, alert.severity, alert.targets) == (event, severity, ("203.0.113.7",))

    @pytest.mark.parametrize("badge", ["", "[P2] "])
    def test_a_recovery_ends_the_incident_of_its_group_with_or_without_priority(self, titled, badge):
        first = titled(badge + "[Triggered on {target:203.0.113.7,proto:udp}] DDoS")
        for word in ("Re-Triggered", "Renotify", "Warn", "Recovered"):
            assert (
                titled(f"{badge}[{word} on {{proto:udp,target:203.0.113.7}}] DDoS", id="2").incident
                == first.incident
            )
        for other in ("[Triggered on {target:203.0.113.8,proto:udp}] DDoS", "[Triggered] DDoS"):
            assert titled(badge + other).incident != first.incident

    @pytest.mark.parametrize(
        ("one_group", "another"),
        [("{edge-1}", "{edge-2}"), ("{url:http://x/{a}}", "{url:http://x/{b}}"), ("(host:a)", "(host:b)")],
    )
    def test_groups_of_any_form_are_told_apart(self, titled, one_group, another):
        first, last = titled(f"[Triggered on {one_group}] x"), titled(f"[Recovered on {one_group}] x")
        assert first.incident == last.incident
        assert titled(f"[Recovered on {another}] x").incident != first.incident

    def test_the_group_of_a_multi_alert_names_the_packets(self, titled):
        alert = titled("[P1] [Triggered on {target:203.0.113.7,proto:udp,target_port:53,colo:ord02}] DDoS")
        assert (alert.targets, alert.protocol, alert.target_port) == (("203.0.113.7",), 17, 53)
        assert (alert.colos, alert.notes) == (("ord02",), ())
        assert alert.labels["proto"] == "udp"

    def test_an_ipv6_target_of_a_group(self, titled):
        assert titled("[Triggered on {target:2001:db8::7}] DDoS").targets == ("2001:db8::7",)

    def test_a_private_address_in_a_title_is_no_target(self, titled):
        alert = titled("[Triggered] [TEST] Service with IP 172.19.128.1 has exceeded its memory")
        assert (alert.targets, alert.local_targets) == ((), ("172.19.128.1",))

    @pytest.mark.parametrize("end", [{"alert_type": "success"}, {"transition": "Recovered"}])
    def test_without_a_word_in_the_title_other_fields_tell_the_end(self, titled, end):
        assert titled("DDoS on 203.0.113.7", **end).event == "end"
        assert titled("DDoS on 203.0.113.7").event == "start"

    def test_the_title_with_a_transition_is_the_one_that_counts(self, titled):
        """Payloads written by hand have up to three titles, of which one has the transition."""
        alert = titled("DDoS", alert_title="DDoS on target", event_title="[P2] [Recovered on {a:b}] DDoS")
        assert (alert.event, alert.severity) == ("end", "high")


def test_an_alert_after_its_warning_is_another_alert_of_the_same_incident(one):
    warn, alert = one("triggered", alert_transition="Warn"), one("triggered")
    assert warn.incident == alert.incident
    assert warn.identity != alert.identity
