"""The book rules on alerts as the policy says, remembers it, and forgets only what is over."""

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

from edgecap.alerts.model import derive
from edgecap.errors import EntryMissing, StoreUnwritable
from edgecap.incidents.book import Book, Order, Outcome
from tests.edgecap.incidents.book_parts import NOON, alert, plan, take

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alerts" / "book.db"


@pytest.fixture
def book(path):
    with Book(path) as opened:
        yield opened


# Arrivals


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


# Incidents


def test_a_start_opens_an_incident_and_orders_its_run(book):
    start = alert(raw={"deep": [1, {"half": "\ud800"}]})
    assert take(book, start) == [Outcome.OPENED]
    (incident,) = book.incidents()
    assert incident.id == derive(start.incident, start.identity)
    assert (incident.key, incident.about, incident.rule) == (start.incident, "203.0.113.7", "floods")
    assert (incident.opened, incident.last, incident.closed) == (NOON, NOON, None)
    assert str(incident) == f"{incident.id[:8]} goes on: generic flood start unknown 203.0.113.7"
    assert book.incident(incident.id) == incident
    assert book.orders() == [
        Order(1, incident.id, "start", start, plan(start), key=derive(incident.id, "start"), created=NOON)
    ]


def test_the_same_alert_again_changes_nothing_but_how_often_it_was_heard(book):
    start = alert()
    take(book, start)
    assert take(book, alert(at=NOON + HOUR)) == [Outcome.REPEATED]
    assert take(book, alert(at=NOON + 2 * HOUR), wanted=False, captures=0) == [Outcome.REPEATED]
    (incident,) = book.incidents()
    assert (incident.repeated, incident.joined, incident.last) == (2, 0, NOON + 2 * HOUR)
    assert len(book.orders()) == 1


def test_two_alerts_of_one_arrival_are_ruled_on_one_after_the_other(book):
    assert take(book, alert(), alert(identity="2"), alert("end"), alert("end")) == [
        Outcome.OPENED,
        Outcome.JOINED,
        Outcome.ENDED,
        Outcome.REPEATED,
    ]
    assert [order.event for order in book.orders()] == ["start", "end"]


def test_a_start_for_an_incident_that_goes_on_joins_it_whatever_its_target_or_rule(book):
    take(book, alert())
    second = alert(identity="2", about="198.51.100.1", at=NOON + 20 * HOUR)
    assert take(book, second, cooldown=0, wanted=False, captures=0) == [Outcome.JOINED]
    assert book.incidents()[0].joined == 1


@pytest.mark.parametrize(
    ("after", "cooldown", "outcome"),
    [
        (599, 600, Outcome.JOINED),
        (600, 600, Outcome.OPENED),
        (0, 0, Outcome.OPENED),
        (-5, 600, Outcome.JOINED),  # the clock was set back
        (-5, 0, Outcome.OPENED),
    ],
)
def test_another_attack_on_the_same_target_joins_within_the_cooldown(book, after, cooldown, outcome):
    take(book, alert())
    assert take(book, alert(key="other", at=NOON + after * SECOND), cooldown=cooldown) == [outcome]


def test_the_cooldown_begins_anew_with_every_alert_of_the_incident(book):
    take(book, alert())
    take(book, alert(at=NOON + 500 * SECOND))
    assert take(book, alert(key="other", at=NOON + 1000 * SECOND)) == [Outcome.JOINED]
    assert take(book, alert(key="third", at=NOON + 1500 * SECOND)) == [Outcome.JOINED]
    assert book.incidents()[0].last == NOON + 1500 * SECOND


def test_an_incident_that_is_over_takes_nobody_in(book):
    take(book, alert(), alert("end"))
    assert take(book, alert(key="other", at=NOON + SECOND)) == [Outcome.OPENED]


def test_an_end_closes_its_incident_and_orders_the_captures_of_after(book):
    take(book, alert())
    end = alert("end", at=NOON + 60 * SECOND)
    assert take(book, end, captures=1) == [Outcome.ENDED]
    (incident,) = book.incidents()
    assert incident.closed == incident.last == NOON + 60 * SECOND
    assert not incident.superseded
    assert "is over" in str(incident)
    order = book.orders()[-1]
    assert (order.incident, order.event, order.alert) == (incident.id, "end", end)
    assert [each.phase for each in order.plan.captures] == ["after"]
    assert order.key == derive(incident.id, "end")


def test_an_end_twice_is_a_repetition_also_if_it_is_another_message(book):
    take(book, alert(), alert("end"))
    assert take(book, alert("end")) == [Outcome.REPEATED]
    assert take(book, alert("end", identity="another message")) == [Outcome.REPEATED]
    assert take(book, alert("end", identity="another", at=NOON + 50 * HOUR)) == [Outcome.REPEATED]
    assert len(book.orders()) == 2
    assert (book.incidents()[0].repeated, book.incidents()[0].last) == (0, NOON)  # only while it goes on


def test_an_end_before_its_start_is_nothing_and_counts_when_it_is_sent_again(book):
    assert take(book, alert("end")) == [Outcome.NOTHING]
    assert take(book, alert()) == [Outcome.OPENED]
    assert take(book, alert("end")) == [Outcome.ENDED]


def test_the_end_of_an_attack_that_joined_another_does_not_end_the_incident(book):
    take(book, alert(), alert(key="other"))
    assert take(book, alert("end", key="other")) == [Outcome.JOINED]
    assert take(book, alert("end", key="other")) == [Outcome.REPEATED]
    assert book.incidents()[0].closed is None
    assert take(book, alert("end")) == [Outcome.ENDED]
    assert take(book, alert("end", key="other", identity="late")) == [Outcome.REPEATED]


def test_a_start_after_the_end_is_a_new_incident_with_an_id_of_its_own(book):
    take(book, alert(), alert("end"))
    again = alert(identity="2", at=NOON + SECOND)
    assert take(book, again) == [Outcome.OPENED]
    second, first = book.incidents()
    assert second.id == derive(again.incident, again.identity) != first.id
    assert first.key == second.key
    assert take(book, alert("end", identity="2", at=NOON + 2 * SECOND)) == [Outcome.ENDED]
    assert book.incident(second.id).closed == NOON + 2 * SECOND


@pytest.mark.parametrize(("event", "wanted"), [("start", False), ("other", True), ("end", True)])
def test_nothing_comes_of_alerts_that_want_no_packets_or_end_what_is_not_known(book, event, wanted):
    assert take(book, alert(event), captures=0, wanted=wanted) == [Outcome.NOTHING]
    assert book.incidents() == book.orders() == []
    assert book.alerts()[0].outcome is Outcome.NOTHING


def test_what_came_to_nothing_is_ruled_on_anew_when_it_is_sent_again(book):
    take(book, alert(), captures=0, wanted=False)
    assert take(book, alert()) == [Outcome.OPENED]


def test_a_rule_that_only_captures_after_the_end_opens_the_incident_without_captures(book):
    assert take(book, alert(), captures=0) == [Outcome.OPENED]
    assert take(book, alert("end"), captures=1) == [Outcome.ENDED]
    assert [len(order.plan.captures) for order in book.orders()] == [0, 1]


# What nobody ended


def test_a_start_after_a_long_silence_supersedes_the_incident_that_nobody_ended(book):
    take(book, alert())
    assert take(book, alert(identity="2", at=NOON + 24 * HOUR)) == [Outcome.JOINED]
    assert take(book, alert(identity="3", at=NOON + 48 * HOUR + SECOND)) == [Outcome.OPENED]
    second, first = book.incidents()
    assert first.superseded
    assert (first.last, first.closed) == (NOON + 24 * HOUR, NOON + 48 * HOUR + SECOND)
    assert "was superseded" in str(first)
    assert [order.event for order in book.orders()] == ["start", "start"]
    assert take(book, alert("end", at=NOON + 50 * HOUR)) == [Outcome.ENDED]
    assert book.incident(second.id).closed == NOON + 50 * HOUR


def test_a_cooldown_longer_than_a_day_is_as_long_as_it_says(book):
    take(book, alert())
    again = alert(identity="2", about="elsewhere", at=NOON + 30 * HOUR)
    assert take(book, again, cooldown=48 * 3600) == [Outcome.JOINED]


def test_an_identity_that_tells_no_time_is_a_new_attack_a_day_later_with_a_new_id(book):
    for day in range(3):
        at = NOON + day * 26 * HOUR
        assert take(book, alert(timed=False, at=at)) == [Outcome.OPENED]
        assert take(book, alert(timed=False, at=at + HOUR)) == [Outcome.REPEATED]
    assert len({incident.id for incident in book.incidents()}) == 3
    assert len({order.key for order in book.orders()}) == 3


def test_a_reminder_of_an_attack_that_goes_on_is_a_repetition_a_week_later(book):
    take(book, alert())
    assert take(book, alert(at=NOON + 168 * HOUR)) == [Outcome.REPEATED]


def test_an_identity_of_an_attack_that_is_over_opens_another_incident_a_day_later(book):
    take(book, alert(), alert("end"))
    assert take(book, alert(at=NOON + 24 * HOUR)) == [Outcome.REPEATED]
    assert take(book, alert(at=NOON + 49 * HOUR)) == [Outcome.OPENED]
    assert len({incident.id for incident in book.incidents()}) == 2


# Budget


def test_captures_beyond_the_budget_are_left_out_from_the_end_and_named(book):
    start = alert()
    assert take(book, start, captures=3, budget=2, remarks=["because"]) == [Outcome.OVER_BUDGET]
    (order,) = book.orders()
    assert [each.number for each in order.plan.captures] == [1, 2]
    assert order.plan.reason == "captures: 2 of 3"
    budget = "the daily budget of 2 captures of rule 'floods'"
    assert order.plan.remarks == (
        "because",
        f"left out, since {budget} is used up until midnight UTC: before 3",
    )
    assert book.incidents()[0].plan == order.plan


def test_an_incident_without_budget_is_shown_all_the_same_and_says_why_it_has_no_captures(book):
    take(book, alert(), captures=2, budget=2)
    assert take(book, alert(key="other", about="a"), budget=2) == [Outcome.OVER_BUDGET]
    order = book.orders()[-1]
    assert order.plan.captures == ()
    assert order.plan.reason == ("no captures: the daily budget of 2 captures of rule 'floods' is used up")


def test_the_budget_counts_ends_but_not_joins_and_repetitions(book):
    take(book, alert(), alert(), alert(identity="2"), captures=2, budget=5)
    assert take(book, alert("end"), captures=2, budget=5) == [Outcome.ENDED]
    take(book, alert(key="other"), captures=2, budget=5)
    assert [len(order.plan.captures) for order in book.orders()] == [2, 2, 1]


def test_the_budget_is_that_of_the_rule_and_of_the_utc_day(book):
    midnight = NOON.replace(hour=0) + timedelta(days=1)
    late = midnight - timedelta(microseconds=1)
    take(book, alert(at=late), budget=2)
    assert take(book, alert(key="b", about="b", at=late), budget=2) == [Outcome.OVER_BUDGET]
    assert take(book, alert(key="c", about="c", at=late), budget=2, rule="other") == [Outcome.OPENED]
    assert take(book, alert(key="d", about="d", at=midnight), budget=2) == [Outcome.OPENED]


# Orders


def test_a_sent_order_is_gone_from_the_orders_and_its_run_is_at_the_incident(book):
    take(book, alert(), alert("end"))
    start, end = book.orders()
    assert book.orders(limit=1) == [start]
    book.sent(start.id, "run 1")
    book.sent(start.id, "run 2")
    assert book.orders() == [end]
    book.sent(end.id, "run 3")
    assert book.orders() == []
    assert book.incidents()[0].runs == {"start": "run 1", "end": "run 3"}


# Looking


def test_alerts_are_listed_newest_first_with_what_they_came_to(book):
    take(book, alert())
    take(book, alert())
    take(book, alert(key="other", about="b"), wanted=False, captures=0)
    incident = book.incidents()[0].id
    assert [(each.arrival, each.outcome, each.incident) for each in book.alerts()] == [
        (3, Outcome.NOTHING, None),
        (2, Outcome.REPEATED, incident),
        (1, Outcome.OPENED, incident),
    ]
    assert [each.arrival for each in book.alerts(incident=incident)] == [2, 1]
    assert [each.alert.incident for each in book.alerts(limit=1)] == [derive("other")]


def test_counts_say_how_much_waits_and_since_when(book):
    nothing = book.counts()
    assert (nothing.pending, nothing.asides, nothing.orders, nothing.open_incidents) == (0, 0, 0, 0)
    assert nothing.oldest_pending is nothing.oldest_order is None
    take(book, alert(), alert(key="b", about="b", at=NOON + SECOND), alert("end", at=NOON + SECOND))
    (aside,) = book.keep([("grafana", b"?", NOON)])
    book.put_aside(aside, "why")
    book.keep([("grafana", b"", NOON + n * SECOND) for n in (3, 4)])
    counts = book.counts()
    assert (counts.pending, counts.asides, counts.orders, counts.open_incidents) == (2, 1, 3, 1)
    assert (counts.oldest_pending, counts.oldest_order) == (NOON + 3 * SECOND, NOON)


def test_whoever_only_looks_sees_what_the_receiver_writes_and_cannot_write(book, path):
    with Book(path, read_only=True) as looking:
        assert looking.pending() == []
        book.keep([("grafana", b"{}", NOON)])
        assert len(looking.pending()) == 1
        with pytest.raises(StoreUnwritable, match="opened to be read"):
            looking.keep([("grafana", b"{}", NOON)])


def test_everything_is_there_after_a_restart(path):
    with Book(path) as book:
        take(book, alert(), alert(key="other", about="b"), alert("end"))
        kept = book.keep([("grafana", b"1", NOON), ("grafana", b"2", NOON)])
        book.put_aside(kept[0], "why")
        before = (
            book.incidents(),
            book.orders(),
            book.pending(),
            book.asides(),
            book.alerts(),
            book.counts(),
        )
    with Book(path) as book:
        after = (book.incidents(), book.orders(), book.pending(), book.asides(), book.alerts(), book.counts())
        assert after == before
        assert take(book, alert()) == [Outcome.REPEATED]


def test_threads_share_it(book):
    """A writer keeps, a deliverer settles, and a third looks: all see a book that is right."""
    done = threading.Event()
    wrong = []

    def keep():
        for n in range(50):
            book.keep([("generic", b"%d" % n, NOON + n * SECOND)] * 2)

    def look():
        while not done.is_set():
            counts = book.counts()
            if counts.open_incidents < counts.orders:
                wrong.append(counts)

    keeping, looking = threading.Thread(target=keep), threading.Thread(target=look)
    keeping.start()
    looking.start()
    settled = 0
    while settled < 100:
        for kept in book.pending(limit=7):
            start = alert(key=kept.body.decode(), about=kept.body.decode(), at=kept.received)
            book.settle(kept.id, [(start, plan(start, budget=1000))])
            settled += 1
    done.set()
    keeping.join()
    looking.join()
    assert not wrong
    assert len(book.orders(limit=1000)) == 50


# Forgetting


def test_prune_forgets_what_is_over_and_keeps_what_is_to_be_done(book):
    take(book, alert(), alert("end"))
    take(book, alert(key="unsent", about="b"), alert("end", key="unsent", about="b"))
    take(book, alert("other", key="news"))
    (aside, waiting) = book.keep([("grafana", b"?", NOON), ("grafana", b"!", NOON)])
    book.put_aside(aside, "why")
    for order in book.orders()[:2]:
        book.sent(order.id, "run")
    assert book.prune(NOON) == 0
    assert book.prune(NOON + SECOND) == 3  # the first incident's, the news and the aside
    assert [incident.key for incident in book.incidents()] == [derive("unsent")]
    assert [order.incident for order in book.orders()] == [book.incidents()[0].id] * 2
    assert [each.id for each in book.pending()] == [waiting]
    assert book.asides() == []
    assert {each.arrival for each in book.alerts()} == {2}


def test_prune_keeps_an_incident_that_goes_on_for_a_day_more(book):
    take(book, alert())
    book.sent(1, "run")
    book.prune(NOON + 24 * HOUR)
    assert take(book, alert(at=NOON + SECOND)) == [Outcome.REPEATED]
    assert book.prune(NOON + 24 * HOUR + 2 * SECOND) == 2
    assert book.incidents() == book.alerts() == []


def test_prune_forgets_the_budgets_of_days_before_and_not_of_the_day_itself(book):
    take(book, alert(), captures=2, budget=2)
    book.prune(NOON + HOUR)
    assert take(book, alert(key="b", about="b"), captures=2, budget=2) == [Outcome.OVER_BUDGET]


def test_prune_takes_many_in_pieces(book):
    for arrival in book.keep([("generic", b"{}", NOON)] * 450):
        book.settle(arrival, [])
    assert book.prune(NOON + SECOND) == 450
    assert book.keep([("generic", b"{}", NOON)]) == [451]


def test_a_probe_writes_and_leaves_nothing_behind(book):
    before = book.counts()
    for _ in range(3):
        book.probe()
    assert book.counts() == before
    book.prune(NOON)
    book.probe()


# How long it takes


def steps(book, work):
    """How many instructions of SQLite's machine it takes, on both connections."""
    counted = [0]

    def count():
        counted[0] += 1
        return 0

    connections = (book._database._reader, book._database._writer)
    for connection in connections:
        connection.set_progress_handler(count, 1)
    work()
    for connection in connections:
        connection.set_progress_handler(None, 0)
    return counted[0]


def test_no_step_takes_longer_in_a_book_with_a_long_past(book):
    """Each question has an index: 3,000 arrivals, alerts, incidents and orders cost it nothing."""
    asked = {
        "keep": lambda n: book.keep([("generic", b"{}", NOON)]),
        "pending": lambda n: book.pending(),
        "start": lambda n: book.settle(n[0], [(n[1], plan(n[1], budget=10_000))]),
        "orders": lambda n: book.orders(),
        "sent": lambda n: book.sent(book.orders()[0].id, "run"),
        "end": lambda n: book.settle(n[2], [(n[3], plan(n[3], budget=10_000))]),
        "counts": lambda n: book.counts(),
        "incidents": lambda n: book.incidents(limit=1),
        "alerts": lambda n: book.alerts(limit=1),
        "prune": lambda n: book.prune(NOON - timedelta(days=9)),
    }

    def measure(name):
        first, second = book.keep([("generic", b"{}", NOON)] * 2)
        given = (first, alert(key=name, about=name), second, alert("end", key=name, about=name))
        found = {each: steps(book, lambda each=each: asked[each](given)) for each in asked}
        for kept in book.pending():
            book.settle(kept.id, [])
        for order in book.orders():
            book.sent(order.id, "run")
        return found

    measure("warm")
    short = measure("short")
    for n, arrival in enumerate(book.keep([("generic", b"{}", NOON)] * 3000)):
        ended = n % 2
        pair = (alert(key=str(n), about="same", at=NOON), alert("end", key=str(n), about="same"))
        book.settle(arrival, [(each, plan(each, cooldown=0, budget=10_000)) for each in pair[: 1 + ended]])
    for order in book.orders(limit=10_000):
        book.sent(order.id, "run")
    long = measure("long")
    open_incidents = long.pop("counts")  # counts them, and they are not the past
    assert open_incidents < short.pop("counts") + 1500 * 10
    assert {name for name in short if long[name] > short[name] * 1.5 + 20} == set()
