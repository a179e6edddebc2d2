"""What payloads of products do in an inbox: the parser, the policy and the rules of joining together."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.alerts.policy.decision import Policy
from edgecap.alerts.sources.registry import SOURCES
from edgecap.alerts.understanding import understand
from edgecap.incidents.inbox.alert_inbox import AlertInbox, Outcome
from edgecap.requests import Bounds

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def arrive(tmp_path):
    """Enters a payload as the receiver does, and says what became of it."""
    with closing(AlertInbox(tmp_path / "book.db")) as inbox:

        def enter(name, payload, *, at=NOON):
            body = json.dumps(payload).encode()
            (number,) = inbox.keep([(name, body, at)])
            taken = understand(SOURCES[name], body, Policy(), received=at, now=at, bounds=Bounds())
            return [*zip(inbox.settle(number, taken), [plan.reason for _, plan in taken], strict=True)]

        yield enter


def outcomes(entered):
    return [outcome for outcome, _ in entered]


def pagerduty(event_type, event_id, *, occurred):
    data = {
        "id": "PGR0VU2",
        "type": "incident",
        "created_at": NOON.isoformat(),
        "title": "DDoS on 203.0.113.50",
    }
    about = {"id": event_id, "event_type": event_type, "occurred_at": occurred.isoformat(), "data": data}
    return {"event": about}


def test_pagerduty_s_start_again_after_25_hours_captures_nothing_and_says_so(arrive):
    begun = pagerduty("incident.triggered", "e1", occurred=NOON)
    over = pagerduty("incident.resolved", "e2", occurred=NOON + timedelta(minutes=5))
    assert outcomes(arrive("pagerduty", begun)) == [Outcome.OPENED]
    assert outcomes(arrive("pagerduty", over, at=NOON + timedelta(minutes=5))) == [Outcome.ENDED]
    ((outcome, reason),) = arrive("pagerduty", begun, at=NOON + timedelta(hours=25))
    assert outcome == Outcome.NOTHING
    assert (
        "the attack began 2026-11-23 12:00:00 UTC, and Cloudflare no longer keeps packets from then" in reason
    )


def generic(**fields):
    return {"kind": "flood", "target": "203.0.113.7", **fields}


def test_a_message_about_a_whole_attack_opens_and_ends_its_incident(arrive):
    began, ceased = (NOON - timedelta(minutes=ago) for ago in (4, 1))
    whole = generic(id="7", start=began.isoformat(), end=ceased.isoformat())
    assert outcomes(arrive("generic", whole)) == [Outcome.OPENED, Outcome.ENDED]
    assert outcomes(arrive("generic", whole)) == [Outcome.REPEATED, Outcome.REPEATED]


@pytest.mark.parametrize("event", [{}, {"event": "resolved"}])
def test_the_end_of_a_known_attack_opens_no_other_incident(arrive, event):
    began = NOON - timedelta(minutes=4)
    assert outcomes(arrive("generic", generic(start=began.timestamp(), end=0))) == [Outcome.OPENED]
    over = generic(start=began.timestamp(), end=NOON.timestamp(), **event)
    assert outcomes(arrive("generic", over)) == [Outcome.REPEATED, Outcome.ENDED]


def test_a_status_ends_the_incident_that_a_status_opened(arrive):
    first, last = (generic(status=word, event_id="123456") for word in ("triggered", "resolved"))
    assert outcomes(arrive("generic", first)) == [Outcome.OPENED]
    assert outcomes(arrive("generic", last, at=NOON + timedelta(minutes=9))) == [Outcome.ENDED]


def test_an_end_with_another_id_ends_the_attack_on_its_target(arrive):
    assert outcomes(arrive("generic", generic(event="start", id="message-1"))) == [Outcome.OPENED]
    other = generic(event="end", id="message-2") | {"target": "203.0.113.8"}
    assert outcomes(arrive("generic", other, at=NOON + timedelta(minutes=1))) == [Outcome.NOTHING]
    last = generic(event="end", id="message-3")
    assert outcomes(arrive("generic", last, at=NOON + timedelta(minutes=2))) == [Outcome.ENDED]


def test_a_value_in_a_monitor_s_name_keeps_no_incident_open(arrive):
    def event(number, word, name):
        return {"id": str(number), "title": f"[{word} on {{target:203.0.113.83}}] {name}", "date": str(when)}

    when = int(NOON.timestamp() * 1000)
    assert outcomes(arrive("datadog", event(1, "Triggered", "pps is 950"))) == [Outcome.OPENED]
    over = event(2, "Recovered", "pps is 3")
    assert outcomes(arrive("datadog", over, at=NOON + timedelta(minutes=2))) == [Outcome.ENDED]


@pytest.mark.parametrize("badge", ["", "[P2] "])
def test_datadog_s_default_payload_opens_warns_again_and_ends(arrive, badge):
    apart = timedelta(minutes=11)  # longer than the cooldown

    def event(number, word):
        when = str(int((NOON + number * apart).timestamp() * 1000))
        return {"id": str(number), "title": f"{badge}[{word} on {{target:203.0.113.83}}] pps", "date": when}

    words = ["Triggered", "Re-Triggered", "No data", "Recovered", "Triggered", "Recovered"]
    found = [
        outcomes(arrive("datadog", event(number, word), at=NOON + number * apart))[0]
        for number, word in enumerate(words)
    ]
    assert found == [
        Outcome.OPENED,
        Outcome.JOINED,
        Outcome.NOTHING,
        Outcome.ENDED,
        Outcome.OPENED,
        Outcome.ENDED,
    ]


def test_both_alerts_of_one_alertmanager_message_count_in_order(arrive):
    def alert(status, began, ended):
        times = {"startsAt": (NOON - timedelta(minutes=began)).isoformat(), "endsAt": ended.isoformat()}
        return {"status": status, "labels": {"alertname": "x", "victim_ip": "203.0.113.9"}, **times}

    zero = datetime(1, 1, 1, tzinfo=UTC)
    body = {"alerts": [alert("resolved", 9, NOON - timedelta(minutes=1)), alert("firing", 9, zero)]}
    assert outcomes(arrive("alertmanager", body)) == [Outcome.OPENED, Outcome.ENDED]
