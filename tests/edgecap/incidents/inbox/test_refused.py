"""An order that Prefect refuses is put aside with the reason, and can be taken up again."""

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgecap.alerts.policy.decision import Policy
from edgecap.alerts.sources.registry import SOURCES
from edgecap.alerts.understanding import understand
from edgecap.errors import EntryMissing
from edgecap.incidents.inbox.alert_inbox import AlertInbox
from edgecap.requests import Bounds
from tests.edgecap.incidents.inbox.inbox_parts import incident_of

PAYLOAD = Path(__file__).parents[3] / "data/alerts/cloudflare/advanced-ddos-l4-start.json"


@pytest.fixture
def inbox(tmp_path):
    """An inbox with two run requests."""
    now = datetime.now(UTC)
    with closing(AlertInbox(tmp_path / "book.db")) as inbox:
        for attack in ("one", "two"):
            payload = json.loads(PAYLOAD.read_text()) | {"alert_correlation_id": attack}
            payload["data"]["start_time"] = now.isoformat()
            payload["data"]["target_ip"] = "203.0.113.1" if attack == "one" else "203.0.113.2"
            body = json.dumps(payload).encode()
            (number,) = inbox.keep([("cloudflare", body, now)])
            source = SOURCES["cloudflare"]
            inbox.settle(number, understand(source, body, Policy(), received=now, now=now, bounds=Bounds()))
        yield inbox


def test_a_refused_order_is_not_sent_and_is_shown(inbox):
    first, second = inbox.orders()
    inbox.refuse(first.id, "no such parameter \ud800")
    assert inbox.orders() == [second]
    (aside,) = inbox.orders(refused=True)
    assert (aside.id, aside.key, aside.refused) == (first.id, first.key, "no such parameter ?")
    assert (inbox.counts().orders, inbox.counts().refused) == (1, 1)


def test_a_refused_order_returns_to_its_place(inbox):
    first, second = inbox.orders()
    inbox.refuse(first.id, "no such parameter")
    inbox.refuse(first.id, "")
    assert inbox.orders() == [first, second]
    assert inbox.counts().refused == 0


def test_a_sent_run_request_cannot_be_refused(inbox):
    first, _ = inbox.orders()
    inbox.refuse(first.id, "no such parameter")
    inbox.sent(first.id, "run")
    inbox.refuse(first.id, "no such parameter")
    assert inbox.orders(refused=True) == []
    assert incident_of(inbox, first.incident).runs == {"start": "run"}


def test_an_unknown_order_is_an_error(inbox):
    with pytest.raises(EntryMissing, match="no order 99"):
        inbox.refuse(99, "x")
