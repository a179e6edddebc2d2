"""An order that Prefect refuses is put aside with the reason, and can be taken up again."""

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgecap.alerts.policy import Policy
from edgecap.alerts.registry import SOURCES
from edgecap.alerts.understanding import understand
from edgecap.errors import EntryMissing
from edgecap.incidents.book import Book
from edgecap.requests import Bounds

PAYLOAD = Path(__file__).parents[2] / "data/alerts/cloudflare/advanced-ddos-l4-start.json"


@pytest.fixture
def book(tmp_path):
    """A book with two orders."""
    now = datetime.now(UTC)
    with closing(Book(tmp_path / "book.db")) as book:
        for attack in ("one", "two"):
            payload = json.loads(PAYLOAD.read_text()) | {"alert_correlation_id": attack}
            payload["data"]["target_ip"] = "203.0.113.1" if attack == "one" else "203.0.113.2"
            body = json.dumps(payload).encode()
            (number,) = book.keep([("cloudflare", body, now)])
            source = SOURCES["cloudflare"]
            book.settle(number, understand(source, body, Policy(), received=now, now=now, bounds=Bounds()))
        yield book


def test_a_refused_order_is_not_sent_and_is_shown(book):
    first, second = book.orders()
    book.refuse(first.id, "no such parameter \ud800")
    assert book.orders() == [second]
    (aside,) = book.orders(refused=True)
    assert (aside.id, aside.key, aside.refused) == (first.id, first.key, "no such parameter ?")
    assert (book.counts().orders, book.counts().refused) == (1, 1)


def test_it_can_be_taken_up_again_in_its_place(book):
    first, second = book.orders()
    book.refuse(first.id, "no such parameter")
    book.refuse(first.id, "")
    assert book.orders() == [first, second]
    assert book.counts().refused == 0


def test_what_was_sent_can_no_longer_be_refused(book):
    first, _ = book.orders()
    book.refuse(first.id, "no such parameter")
    book.sent(first.id, "run")
    book.refuse(first.id, "no such parameter")
    assert book.orders(refused=True) == []
    assert book.incident(first.incident).runs == {"start": "run"}


def test_there_must_be_such_an_order(book):
    with pytest.raises(EntryMissing, match="no order 99"):
        book.refuse(99, "x")
