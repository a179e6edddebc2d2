"""Alerts in people's words."""

from datetime import UTC, datetime

import pytest

from edgecap.alerts.model import Alert, summary_of
from edgecap.alerts.words import briefly, in_words, target_of, what_it_is, words_of_run

NOW = datetime(2026, 11, 23, 6, 34, 6, tzinfo=UTC)


def alert(**more):
    facts = {
        "source": "cloudflare",
        "kind": "advanced_ddos_attack_l4_alert",
        "event": "start",
        "identity": "1" * 32,
        "incident": "2" * 32,
        "received": NOW,
        "targets": ("203.0.113.7",),
        "target_port": 443,
    }
    return Alert(**{**facts, **more})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"started": NOW},
            "Advanced DDoS attack (layer 4) on 203.0.113.7 port 443, began 2026-11-23 06:34:06 UTC",
        ),
        (
            {"event": "end", "title": "Our policy", "source": "pagerduty", "target_port": None},
            "Our policy on 203.0.113.7, ended 2026-11-23 06:34:06 UTC, from PagerDuty",
        ),
        (
            {"source": "generic", "title": "UDP flood to 203.0.113.7"},
            "UDP flood to 203.0.113.7, arrived 2026-11-23 06:34:06 UTC",
        ),
        (
            {"source": "other", "kind": "syn-flood", "targets": ()},
            "SYN flood, arrived 2026-11-23 06:34:06 UTC",
        ),
        ({"source": "x", "kind": "alert", "targets": ()}, "Alert, arrived 2026-11-23 06:34:06 UTC"),
    ],
)
def test_an_alert_is_told_as_what_target_and_when(more, words):
    given = alert(**more)
    told = in_words(given)
    assert told.removesuffix(", from Cloudflare") == words
    assert ("from Cloudflare" in told) == (given.source == "cloudflare")


def test_many_targets_are_counted():
    many = alert(targets=tuple(f"203.0.113.{number}" for number in range(9)), target_port=None)
    assert target_of(many) == "203.0.113.0, 203.0.113.1, 203.0.113.2 and 6 more"
    assert what_it_is(alert(kind="")) == "Alert"


def test_labels_on_what_was_done_to_packets_stay_with_the_alert():
    labels = {
        "dropped_packets": "96%",
        "mitigation": "drop",
        "pps_passed": "12",
        "password": "hunter2",
        "transaction": "7",
        "long_action": "x" * 1000,
    }
    kept = summary_of(alert(labels=labels))["labels"]
    assert kept == {
        "dropped_packets": "96%",
        "mitigation": "drop",
        "pps_passed": "12",
        "long_action": "x" * 200,
    }
    assert "labels" not in summary_of(alert(labels={"collector": "c1"}))


def test_a_run_that_outlives_a_severity_does_not_name_one():
    given = alert(severity="high", event="start")
    assert ", high" in briefly(given)
    assert ", high" in words_of_run(given, "escalation")
    assert ", high" not in words_of_run(given, "start")
    assert briefly(given, severity="high → critical") == briefly(given).replace(", high", ", high → critical")
