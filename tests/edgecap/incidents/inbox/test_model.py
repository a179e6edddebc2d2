"""The inbox against the simplest thing that could be right: lists in memory, for any order of events."""

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edgecap.alerts.model import derive
from edgecap.incidents.inbox.alert_inbox import AlertInbox
from tests.edgecap.incidents.inbox.inbox_parts import NOON, alert, incident_of, plan

DAY = timedelta(days=1)


@dataclass
class Incident:
    key: str
    about: str
    opened: datetime
    last: datetime
    captures: tuple[int, ...]
    closed: datetime | None = None
    superseded: bool = False
    joined: int = 0
    repeated: int = 0


@dataclass
class Sight:
    """An alert that was about an incident."""

    identity: str
    key: str
    at: datetime
    incident: Incident


@dataclass
class Model:
    incidents: list[Incident] = field(default_factory=list)
    seen: list[Sight] = field(default_factory=list)
    spent: Counter = field(default_factory=Counter)
    orders: list[tuple[Incident, str, tuple[int, ...], datetime]] = field(default_factory=list)

    def settle(self, told, decided) -> str:
        outcome, incident = self._rule(told, decided)
        if incident:
            self.seen.append(Sight(told.identity, told.incident, told.received, incident))
            if not incident.closed and outcome in ("joined", "repeated"):
                incident.joined += outcome == "joined"
                incident.repeated += outcome == "repeated"
                incident.last = max(incident.last, told.received)
        return outcome

    def _rule(self, told, decided):
        at = told.received
        if told.event == "other":
            return "nothing", None
        before = [sight for sight in self.seen if sight.identity == told.identity]
        if before:
            goes_on = before[-1].incident.closed is None and told.started is not None
            if goes_on or at - before[-1].at <= DAY:
                return "repeated", before[-1].incident
        own = next((each for each in self.incidents if each.key == told.incident and not each.closed), None)
        return self._end(told, decided, own) if told.event == "end" else self._start(told, decided, own)

    def _start(self, told, decided, own):
        at = told.received
        cooldown = timedelta(seconds=decided.cooldown)
        if own and at - own.last <= max(cooldown, DAY):
            return "joined", own
        if decided.filter is None:
            return "nothing", None
        near = [
            each
            for each in self.incidents
            if each.closed is None and each.about == decided.about and at - each.last < cooldown
        ]
        if near and cooldown:
            # Among equals the inbox may take any; the machine's times make them differ.
            return "joined", max(near, key=lambda each: each.last)
        if own:
            own.closed, own.superseded = at, True
        captures = self._spend(decided, at)
        opened = Incident(told.incident, decided.about, at, at, captures)
        self.incidents.append(opened)
        self.orders.append((opened, "start", captures, at))
        return ("opened" if len(captures) == len(decided.captures) else "over_budget"), opened

    def _end(self, told, decided, own):
        if own:
            own.closed, own.last = told.received, max(own.last, told.received)
            self.orders.append((own, "end", self._spend(decided, told.received), told.received))
            return "ended", own
        heard = [sight.incident for sight in self.seen if sight.key == told.incident]
        if not heard:
            return "nothing", None
        return ("repeated" if heard[-1].closed else "joined"), heard[-1]

    def _spend(self, decided, at):
        day = (decided.rule, at.date())
        left = max(0, decided.daily_budget - self.spent[day])
        taken = tuple(each.number for each in decided.captures)[:left]
        self.spent[day] += len(taken)
        return taken

    def prune(self, before) -> None:
        unsent = [incident for incident, *_ in self.orders]
        gone = [
            each
            for each in self.incidents
            if each.last < (before if each.closed else before - DAY)
            and not any(each is one for one in unsent)
        ]
        self.incidents = [each for each in self.incidents if not any(each is one for one in gone)]
        self.seen = [sight for sight in self.seen if not any(sight.incident is one for one in gone)]
        for rule_, day in list(self.spent):
            if day < before.date():
                del self.spent[rule_, day]


steps_of_time = st.sampled_from(
    [timedelta(seconds=n) for n in (1, 7, 299, 300, 301, 3600, -2)]
    + [timedelta(hours=n) for n in (6, 12, 24, 25, 50)]
)
alerts = st.fixed_dictionaries(
    {
        "event": st.sampled_from(["start", "start", "end", "other"]),
        "key": st.sampled_from("AAB"),
        "identity": st.sampled_from("12"),
        "about": st.sampled_from(["203.0.113.7", "203.0.113.8"]),
        "timed": st.booleans(),
    }
)
plans = st.fixed_dictionaries(
    {
        "captures": st.integers(0, 3),
        "cooldown": st.sampled_from([0, 0, 300, 200_000]),
        "budget": st.sampled_from([0, 2, 5, 50, 50]),
        "rule": st.sampled_from(["floods", "scans"]),
        "wanted": st.sampled_from([True, True, True, False]),
    }
)


def decided_so(told, how):
    return plan(told, **how | ({} if how["wanted"] else {"captures": 0}))


class Inboxes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "book.db"
        self.inbox = AlertInbox(self.path)
        self.model = Model()
        self.now = NOON
        self.waiting: list[tuple[int, datetime]] = []
        self.asides: list[int] = []
        self.settled: list[tuple[int, list[str]]] = []

    def teardown(self) -> None:
        self.inbox.close()
        self.folder.cleanup()

    @rule(step=steps_of_time)
    def time_passes(self, step) -> None:
        self.now += step

    @rule(count=st.integers(1, 3))
    def arrive(self, count) -> None:
        for _ in range(count):
            self.now += timedelta(microseconds=1)
            self.waiting += [(id_, self.now) for id_ in self.inbox.keep([("generic", b"{}", self.now)])]

    @rule(told=st.lists(st.tuples(steps_of_time, alerts, plans), min_size=1, max_size=4))
    def arrive_and_settle(self, told) -> None:
        for step, what, how in told:
            self.time_passes(step)
            self.arrive(1)
            self.settle([(what, how)], len(self.waiting) - 1)

    @precondition(lambda self: self.waiting)
    @rule(told=st.lists(st.tuples(alerts, plans), max_size=3), nth=st.integers(0, 2))
    def settle(self, told, nth) -> None:
        """As a rule the oldest, but the inbox does not depend on it."""
        arrival, received = self.waiting.pop(min(nth, len(self.waiting) - 1))
        taken = []
        for tick, (what, how) in enumerate(told):
            each = alert(**what, at=received + tick * timedelta(microseconds=1))
            taken.append((each, decided_so(each, how)))
        expected = [self.model.settle(*each) for each in taken]
        assert self.inbox.settle(arrival, taken) == expected
        self.settled.append((arrival, expected))

    @precondition(lambda self: self.settled)
    @rule(told=st.tuples(alerts, plans))
    def settle_again(self, told) -> None:
        arrival, expected = self.settled[-1]
        each = alert(**told[0], at=self.now)
        assert self.inbox.settle(arrival, [(each, decided_so(each, told[1]))]) == expected
        self.inbox.put_aside(arrival, "late")

    @precondition(lambda self: self.waiting)
    @rule()
    def put_aside(self) -> None:
        arrival, _ = self.waiting.pop(0)
        self.inbox.put_aside(arrival, "why")
        self.asides.append(arrival)

    @precondition(lambda self: self.model.orders)
    @rule(count=st.integers(1, 4))
    def send(self, count) -> None:
        for order in self.inbox.orders(limit=count):
            self.inbox.sent(order.id, f"run of {order.key}")
            self.model.orders.pop(0)

    @rule()
    def restart(self) -> None:
        self.inbox.close()
        self.inbox = AlertInbox(self.path)

    @rule(age=st.sampled_from([timedelta(), timedelta(hours=3), DAY, 3 * DAY]))
    def prune(self, age) -> None:
        self.inbox.prune(self.now - age)
        self.model.prune(self.now - age)
        self.asides = [each.id for each in reversed(self.inbox.asides())]
        self.settled = []  # what was settled may be forgotten

    @invariant()
    def incidents_are_the_same(self) -> None:
        found = self.inbox.incidents(limit=1000)
        assert [
            Incident(
                each.key,
                each.about,
                each.opened,
                each.last,
                tuple(one.number for one in each.plan.captures),
                each.closed,
                each.superseded,
                each.joined,
                each.repeated,
            )
            for each in reversed(found)
        ] == self.model.incidents
        assert len({each.id for each in found}) == len(found)

    @invariant()
    def orders_are_the_same(self) -> None:
        orders = self.inbox.orders(limit=1000)
        assert [
            (
                order.alert.incident,
                order.event,
                tuple(one.number for one in order.plan.captures),
                order.created,
            )
            if order.event == "start"
            else (
                incident_of(self.inbox, order.incident).key,
                order.event,
                tuple(one.number for one in order.plan.captures),
                order.created,
            )
            for order in orders
        ] == [(incident.key, event, captures, at) for incident, event, captures, at in self.model.orders]
        assert [order.key for order in orders] == [derive(order.incident, order.event) for order in orders]

    @invariant()
    def what_waits_is_the_same(self) -> None:
        assert [(each.id, each.received) for each in self.inbox.pending(1000)] == self.waiting
        assert [each.id for each in reversed(self.inbox.asides(1000))] == self.asides
        counts = self.inbox.counts()
        assert counts.pending == len(self.waiting)
        assert counts.asides == len(self.asides)
        assert counts.orders == len(self.model.orders)
        assert counts.open_incidents == sum(each.closed is None for each in self.model.incidents)


TestBooks = Inboxes.TestCase
