"""A start and an end in one message: both, in the order in which they happened."""

from datetime import timedelta

import pytest

from edgecap.alerts.sources import alertmanager, generic
from edgecap.alerts.sources.order import in_order
from tests.edgecap.alerts.conftest import RECEIVED


def firing(fingerprint, started, target="203.0.113.7", ended=None):
    return {
        "status": "resolved" if ended is not None else "firing",
        "labels": {"alertname": "flood", "target_ip": target},
        "startsAt": (RECEIVED - timedelta(minutes=started)).isoformat(),
        "endsAt": (RECEIVED - timedelta(minutes=ended or 0)).isoformat(),
        "fingerprint": fingerprint,
    }


def events(*alerts):
    found = alertmanager.parse({"alerts": list(alerts)}, received=RECEIVED)
    return [(alert.event, alert.labels["target_ip"][-1]) for alert in found]


def test_an_earlier_outage_ends_before_the_next_one_starts():
    assert events(firing("f", 2), firing("f", 20, ended=10)) == [("end", "7"), ("start", "7")]


def test_an_attack_starts_before_it_ends():
    assert events(firing("f", 20, ended=1), firing("f", 20)) == [("start", "7"), ("end", "7")]


def test_alerts_about_other_targets_keep_their_places():
    found = events(
        firing("a", 1), firing("f", 2), firing("b", 9, "203.0.113.8", ended=8), firing("f", 2, ended=1)
    )
    assert found == [("start", "7"), ("start", "7"), ("end", "8"), ("end", "7")]


def test_a_start_without_a_time_comes_before_its_own_end():
    body = [
        {"incident": "a", "event": "end", "ended": (RECEIVED - timedelta(minutes=9)).isoformat()},
        {"incident": "a", "event": "start"},
    ]
    assert [each.event for each in generic.SOURCE.parse(body, received=RECEIVED)] == ["start", "end"]


@pytest.mark.parametrize("alerts", [[], [firing("f", 1)]])
def test_short_lists_stay_as_they_are(alerts):
    parsed = alertmanager.parse({"alerts": alerts}, received=RECEIVED) if alerts else []
    assert in_order(parsed) == parsed
