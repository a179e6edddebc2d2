"""What arrives is kept as it came until it is settled or put aside, once."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from edgecap.errors import EntryMissing
from edgecap.incidents.book import Outcome
from tests.edgecap.incidents.book_parts import NOON, alert, plan

SECOND = timedelta(seconds=1)


def test_what_was_kept_is_pending_in_the_order_of_arrival_with_every_byte(book):
    bodies = [b"", b"\x00\xff{", b"x" * 100_000]
    ids = book.keep([("grafana", body, NOON + n * SECOND) for n, body in enumerate(bodies)])
    kept = book.pending()
    assert [(each.id, each.body, each.received) for each in kept] == [
        (id_, body, NOON + n * SECOND) for n, (id_, body) in enumerate(zip(ids, bodies, strict=True))
    ]
    assert {each.source for each in kept} == {"grafana"}
    assert ids == sorted(ids)


def test_an_arrival_keeps_its_time_to_the_microsecond_whatever_zone_it_was_written_in(book):
    there = datetime(2026, 11, 23, 17, 30, 0, 123457, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    book.keep([("grafana", b"{}", there)])
    assert book.pending()[0].received == there
    assert book.pending()[0].received.tzinfo is UTC


def test_a_time_without_a_zone_is_refused_and_nothing_of_the_group_is_kept(book):
    with pytest.raises(ValueError, match="no time zone"):
        book.keep([("grafana", b"{}", NOON), ("grafana", b"{}", datetime(2026, 11, 23))])
    assert book.pending() == []


def test_pending_gives_as_many_as_asked_for_and_never_more_memory_than_it_must(book):
    book.keep([("grafana", b"{}", NOON)] * 5)
    assert len(book.pending(limit=3)) == 3
    assert len(book.pending()) == 5
    for each in book.pending():
        book.settle(each.id, [])
    large = bytes(9 << 20)
    book.keep([("grafana", large, NOON)] * 2)
    assert len(book.pending()) == 1


def test_what_is_put_aside_is_shown_with_its_reason_and_bytes_and_is_pending_no_longer(book):
    first, second = book.keep([("grafana", b"what?", NOON), ("grafana", b"[]", NOON)])
    book.put_aside(first, "the body is not JSON \ud800")
    book.put_aside(second, "a list")
    assert [(each.id, each.body, each.reason) for each in book.asides()] == [
        (second, b"[]", "a list"),
        (first, b"what?", "the body is not JSON ?"),
    ]
    assert book.pending() == []


def test_what_was_put_aside_can_be_settled_later_and_what_is_settled_is_never_put_aside(book):
    (arrival,) = book.keep([("generic", b"{}", NOON)])
    book.put_aside(arrival, "unknown then")
    start = alert()
    assert book.settle(arrival, [(start, plan(start))]) == [Outcome.OPENED]
    book.put_aside(arrival, "too late")
    assert book.asides() == []
    assert book.pending() == []


def test_an_arrival_is_settled_once_whatever_is_said_later(book):
    (arrival,) = book.keep([("generic", b"{}", NOON)])
    start, other = alert(), alert(key="another", about="203.0.113.8")
    assert book.settle(arrival, [(start, plan(start))]) == [Outcome.OPENED]
    assert book.settle(arrival, [(other, plan(other)), (start, plan(start))]) == [Outcome.OPENED]
    assert len(book.incidents()) == 1


def test_a_ping_is_settled_with_nothing(book):
    (arrival,) = book.keep([("generic", b"{}", NOON)])
    assert book.settle(arrival, []) == []
    assert book.pending() == []
    assert book.alerts() == []


@pytest.mark.parametrize(
    "call",
    [
        lambda book: book.settle(7, []),
        lambda book: book.put_aside(7, "why"),
        lambda book: book.sent(7, "run"),
        lambda book: book.incident("0" * 32),
    ],
)
def test_what_the_book_does_not_have_is_said_so(book, call):
    with pytest.raises(EntryMissing, match="the book of alerts has no"):
        call(book)
