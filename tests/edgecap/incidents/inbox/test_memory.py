"""What the inbox tells those who look, that it lasts, and that it forgets only what is over."""

import threading
from datetime import timedelta

import pytest

from edgecap.alerts.model import derive
from edgecap.errors import StoreUnwritable
from edgecap.incidents.inbox.alert_inbox import AlertInbox, Outcome
from tests.edgecap.incidents.inbox.inbox_parts import NOON, alert, connections, plan, take

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


# Looking


def test_alerts_are_listed_newest_first_with_their_outcome(inbox):
    take(inbox, alert())
    take(inbox, alert())
    take(inbox, alert(key="other", about="b"), wanted=False, captures=0)
    incident = inbox.incidents()[0].id
    assert [(each.arrival, each.outcome, each.incident) for each in inbox.alerts()] == [
        (3, Outcome.NOTHING, None),
        (2, Outcome.REPEATED, incident),
        (1, Outcome.OPENED, incident),
    ]
    assert [each.arrival for each in inbox.alerts(incident=incident)] == [2, 1]
    assert [each.alert.incident for each in inbox.alerts(limit=1)] == [derive("other")]


def test_counts_say_how_much_waits_and_since_when(inbox):
    nothing = inbox.counts()
    assert (nothing.pending, nothing.asides, nothing.orders, nothing.open_incidents) == (0, 0, 0, 0)
    assert nothing.oldest_pending is nothing.oldest_order is None
    take(inbox, alert(), alert(key="b", about="b", at=NOON + SECOND), alert("end", at=NOON + SECOND))
    (aside,) = inbox.keep([("grafana", b"?", NOON)])
    inbox.put_aside(aside, "why")
    inbox.keep([("grafana", b"", NOON + n * SECOND) for n in (3, 4)])
    counts = inbox.counts()
    assert (counts.pending, counts.asides, counts.orders, counts.open_incidents) == (2, 1, 3, 1)
    assert (counts.oldest_pending, counts.oldest_order) == (NOON + 3 * SECOND, NOON)


def test_a_read_only_inbox_follows_the_receiver_and_cannot_write(inbox, path):
    with AlertInbox(path, read_only=True) as looking:
        assert looking.pending() == []
        inbox.keep([("grafana", b"{}", NOON)])
        assert len(looking.pending()) == 1
        with pytest.raises(StoreUnwritable, match="opened to be read"):
            looking.keep([("grafana", b"{}", NOON)])


def test_everything_is_there_after_a_restart(path):
    with AlertInbox(path) as inbox:
        take(inbox, alert(), alert(key="other", about="b"), alert("end"))
        kept = inbox.keep([("grafana", b"1", NOON), ("grafana", b"2", NOON)])
        inbox.put_aside(kept[0], "why")
        before = (
            inbox.incidents(),
            inbox.orders(),
            inbox.pending(),
            inbox.asides(),
            inbox.alerts(),
            inbox.counts(),
        )
    with AlertInbox(path) as inbox:
        after = (
            inbox.incidents(),
            inbox.orders(),
            inbox.pending(),
            inbox.asides(),
            inbox.alerts(),
            inbox.counts(),
        )
        assert after == before
        assert take(inbox, alert()) == [Outcome.REPEATED]


def test_threads_may_share_the_inbox(inbox):
    """A writer keeps, a deliverer settles, and a third looks: all see an inbox that is right."""
    done = threading.Event()
    wrong = []

    def keep():
        for n in range(50):
            inbox.keep([("generic", b"%d" % n, NOON + n * SECOND)] * 2)

    def look():
        while not done.is_set():
            counts = inbox.counts()
            if counts.open_incidents < counts.orders:
                wrong.append(counts)

    keeping, looking = threading.Thread(target=keep), threading.Thread(target=look)
    keeping.start()
    looking.start()
    settled = 0
    while settled < 100:
        for kept in inbox.pending(limit=7):
            start = alert(key=kept.body.decode(), about=kept.body.decode(), at=kept.received)
            inbox.settle(kept.id, [(start, plan(start, budget=1000))])
            settled += 1
    done.set()
    keeping.join()
    looking.join()
    assert not wrong
    assert len(inbox.orders(limit=1000)) == 50


# Forgetting


def test_prune_forgets_old_incidents_and_keeps_unfinished_work(inbox):
    take(inbox, alert(), alert("end"))
    take(inbox, alert(key="unsent", about="b"), alert("end", key="unsent", about="b"))
    take(inbox, alert("other", key="news"))
    (aside, waiting) = inbox.keep([("grafana", b"?", NOON), ("grafana", b"!", NOON)])
    inbox.put_aside(aside, "why")
    for order in inbox.orders()[:2]:
        inbox.sent(order.id, "run")
    assert inbox.prune(NOON) == 0
    assert inbox.prune(NOON + SECOND) == 3  # the first incident's, the news and the aside
    assert [incident.key for incident in inbox.incidents()] == [derive("unsent")]
    assert [order.incident for order in inbox.orders()] == [inbox.incidents()[0].id] * 2
    assert [each.id for each in inbox.pending()] == [waiting]
    assert inbox.asides() == []
    assert {each.arrival for each in inbox.alerts()} == {2}


def test_prune_keeps_an_open_incident_for_a_day_more(inbox):
    take(inbox, alert())
    inbox.sent(1, "run")
    inbox.prune(NOON + 24 * HOUR)
    assert take(inbox, alert(at=NOON + SECOND)) == [Outcome.REPEATED]
    assert inbox.prune(NOON + 24 * HOUR + 2 * SECOND) == 2
    assert inbox.incidents() == inbox.alerts() == []


def test_prune_forgets_budgets_of_earlier_days_only(inbox):
    take(inbox, alert(), captures=2, budget=2)
    inbox.prune(NOON + HOUR)
    assert take(inbox, alert(key="b", about="b"), captures=2, budget=2) == [Outcome.OVER_BUDGET]


def test_prune_takes_many_in_pieces(inbox):
    for arrival in inbox.keep([("generic", b"{}", NOON)] * 450):
        inbox.settle(arrival, [])
    assert inbox.prune(NOON + SECOND) == 450
    assert inbox.keep([("generic", b"{}", NOON)]) == [451]


def test_a_probe_writes_and_leaves_nothing_behind(inbox):
    before = inbox.counts()
    for _ in range(3):
        inbox.probe()
    assert inbox.counts() == before
    inbox.prune(NOON)
    inbox.probe()


# How long it takes


def steps(opened, work):
    """How many instructions of SQLite's machine it takes, on all these connections."""
    counted = [0]

    def count():
        counted[0] += 1
        return 0

    for connection in opened:
        connection.set_progress_handler(count, 1)
    work()
    for connection in opened:
        connection.set_progress_handler(None, 0)
    return counted[0]


@pytest.fixture
def opened():
    """The connections of the inbox of a test that asks for this first."""
    with connections() as opened:
        yield opened


def test_no_step_reads_the_whole_of_a_large_inbox(opened, inbox):
    """Each question has an index: 3,000 arrivals, alerts, incidents and orders cost it nothing."""
    asked = {
        "keep": lambda n: inbox.keep([("generic", b"{}", NOON)]),
        "pending": lambda n: inbox.pending(),
        "start": lambda n: inbox.settle(n[0], [(n[1], plan(n[1], budget=10_000))]),
        "orders": lambda n: inbox.orders(),
        "sent": lambda n: inbox.sent(inbox.orders()[0].id, "run"),
        "end": lambda n: inbox.settle(n[2], [(n[3], plan(n[3], budget=10_000))]),
        "counts": lambda n: inbox.counts(),
        "incidents": lambda n: inbox.incidents(limit=1),
        "alerts": lambda n: inbox.alerts(limit=1),
        "prune": lambda n: inbox.prune(NOON - timedelta(days=9)),
    }

    def measure(name):
        first, second = inbox.keep([("generic", b"{}", NOON)] * 2)
        given = (first, alert(key=name, about=name), second, alert("end", key=name, about=name))
        found = {each: steps(opened, lambda each=each: asked[each](given)) for each in asked}
        for kept in inbox.pending():
            inbox.settle(kept.id, [])
        for order in inbox.orders():
            inbox.sent(order.id, "run")
        return found

    measure("warm")
    short = measure("short")
    for n, arrival in enumerate(inbox.keep([("generic", b"{}", NOON)] * 3000)):
        ended = n % 2
        pair = (alert(key=str(n), about="same", at=NOON), alert("end", key=str(n), about="same"))
        inbox.settle(arrival, [(each, plan(each, cooldown=0, budget=10_000)) for each in pair[: 1 + ended]])
    for order in inbox.orders(limit=10_000):
        inbox.sent(order.id, "run")
    long = measure("long")
    open_incidents = long.pop("counts")  # counts them, and they are not the past
    assert open_incidents < short.pop("counts") + 1500 * 10
    assert {name for name in short if long[name] > short[name] * 1.5 + 20} == set()
