"""What arrives is kept as it came until it is settled or put aside, once."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from edgecap.errors import EntryMissing
from edgecap.incidents.inbox.alert_inbox import Outcome
from tests.edgecap.incidents.inbox.inbox_parts import NOON, alert, plan

SECOND = timedelta(seconds=1)


def test_kept_alerts_are_pending_byte_for_byte_in_order_of_arrival(inbox):
    bodies = [b"", b"\x00\xff{", b"x" * 100_000]
    ids = inbox.keep([("grafana", body, NOON + n * SECOND) for n, body in enumerate(bodies)])
    kept = inbox.pending()
    assert [(each.id, each.body, each.received) for each in kept] == [
        (id_, body, NOON + n * SECOND) for n, (id_, body) in enumerate(zip(ids, bodies, strict=True))
    ]
    assert {each.source for each in kept} == {"grafana"}
    assert ids == sorted(ids)


def test_an_arrival_keeps_its_time_to_the_microsecond_in_any_zone(inbox):
    there = datetime(2026, 11, 23, 17, 30, 0, 123457, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    inbox.keep([("grafana", b"{}", there)])
    assert inbox.pending()[0].received == there
    assert inbox.pending()[0].received.tzinfo is UTC


def test_a_time_without_a_zone_refuses_the_whole_group(inbox):
    with pytest.raises(ValueError, match="no time zone"):
        inbox.keep([("grafana", b"{}", NOON), ("grafana", b"{}", datetime(2026, 11, 23))])
    assert inbox.pending() == []


def test_pending_is_bounded_in_number_and_in_memory(inbox):
    inbox.keep([("grafana", b"{}", NOON)] * 5)
    assert len(inbox.pending(limit=3)) == 3
    assert len(inbox.pending()) == 5
    for each in inbox.pending():
        inbox.settle(each.id, [])
    large = bytes(9 << 20)
    inbox.keep([("grafana", large, NOON)] * 2)
    assert len(inbox.pending()) == 1


def test_a_quarantined_alert_shows_reason_and_bytes_and_is_not_pending(inbox):
    first, second = inbox.keep([("grafana", b"what?", NOON), ("grafana", b"[]", NOON)])
    inbox.put_aside(first, "the body is not JSON \ud800")
    inbox.put_aside(second, "a list")
    assert [(each.id, each.body, each.reason) for each in inbox.asides()] == [
        (second, b"[]", "a list"),
        (first, b"what?", "the body is not JSON ?"),
    ]
    assert inbox.pending() == []


def test_a_quarantined_alert_can_be_settled_but_never_the_reverse(inbox):
    (arrival,) = inbox.keep([("generic", b"{}", NOON)])
    inbox.put_aside(arrival, "unknown then")
    start = alert()
    assert inbox.settle(arrival, [(start, plan(start))]) == [Outcome.OPENED]
    inbox.put_aside(arrival, "too late")
    assert inbox.asides() == []
    assert inbox.pending() == []


def test_an_arrival_is_settled_only_once(inbox):
    (arrival,) = inbox.keep([("generic", b"{}", NOON)])
    start, other = alert(), alert(key="another", about="203.0.113.8")
    assert inbox.settle(arrival, [(start, plan(start))]) == [Outcome.OPENED]
    assert inbox.settle(arrival, [(other, plan(other)), (start, plan(start))]) == [Outcome.OPENED]
    assert len(inbox.incidents()) == 1


def test_a_ping_is_settled_with_nothing(inbox):
    (arrival,) = inbox.keep([("generic", b"{}", NOON)])
    assert inbox.settle(arrival, []) == []
    assert inbox.pending() == []
    assert inbox.alerts() == []


@pytest.mark.parametrize(
    "call",
    [
        lambda inbox: inbox.settle(7, []),
        lambda inbox: inbox.put_aside(7, "why"),
        lambda inbox: inbox.sent(7, "run"),
    ],
)
def test_an_unknown_id_is_an_error(inbox, call):
    with pytest.raises(EntryMissing, match="the inbox of alerts has no"):
        call(inbox)
