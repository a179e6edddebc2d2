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


RISING = ("info", "low", "unknown", "medium", "high", "critical")


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
    escalations: int = 0
    cooldown: int = field(default=0, compare=False)
    gravest: str = field(default="", compare=False)
    going_on: set[str] = field(default_factory=set, compare=False)
    known: set[str] = field(default_factory=set, compare=False)
    numbers: int = field(default=0, compare=False)
    windows: list[tuple[datetime, datetime]] = field(default_factory=list, compare=False)


def window(planned):
    """The time that a simple capture looks back over."""
    ends = planned.request.offset_time
    return ends - timedelta(seconds=planned.request.time_limit), ends


def lacks(wanted, had):
    """What of a time no earlier look back covers, in whole seconds; None if that is less than one."""
    begins, ends = wanted
    for covers_from, covers_to in sorted(had):
        if covers_from <= begins:
            begins = max(begins, covers_to)
    for covers_from, covers_to in sorted(had, key=lambda each: each[1], reverse=True):
        if covers_to >= ends:
            ends = min(ends, covers_from)
    if ends - begins < timedelta(seconds=1):
        return None
    whole = (
        begins
        if (begins, ends) == wanted
        else ends - timedelta(seconds=(ends - begins) // timedelta(seconds=1))
    )
    return whole, ends


@dataclass
class Sight:
    """An alert that was about an incident, with its place among all alerts."""

    number: int
    identity: str
    key: str
    at: datetime
    incident: Incident
    severity: str
    target: str
    outcome: str


@dataclass
class Early:
    """An end whose start is not known."""

    number: int
    arrived: datetime
    told: object
    decided: object


@dataclass
class Model:
    incidents: list[Incident] = field(default_factory=list)
    seen: list[Sight] = field(default_factory=list)
    spent: Counter = field(default_factory=Counter)
    orders: list[tuple[Incident, str, tuple[int, ...], datetime]] = field(default_factory=list)
    early: dict[str, Early] = field(default_factory=dict)
    count: int = 0

    def settle(self, told, decided, arrived) -> str:
        self.count += 1
        number = self.count
        outcome, incident = self._rule(told, decided, told.received)
        self._see(number, told, outcome, incident)
        if outcome == "nothing" and told.event == "end":
            self.early[told.incident] = Early(number, arrived, told, decided)
        if outcome in ("opened", "over_budget"):
            self._end_early(told)
        return outcome

    def _see(self, number, told, outcome, incident) -> None:
        if not incident:
            return
        about = told.received, incident, told.severity, told.targets[0]
        self.seen.append(Sight(number, told.identity, told.incident, *about, outcome))
        self.seen.sort(key=lambda sight: sight.number)
        at = told.received
        if outcome == "repeated" and not incident.closed:
            incident.repeated += 1
            incident.last = max(incident.last, at)
        if outcome == "repeated" and told.event == "end":
            incident.going_on.discard(told.incident)
        if outcome in ("joined", "escalated"):
            incident.joined += told.event == "start"
            incident.last = max(incident.last, at)
            if told.event == "end":
                incident.going_on.discard(told.incident)
            else:
                incident.going_on.add(told.incident)
                incident.known.add(told.incident)
                incident.gravest = max(incident.gravest, told.severity, key=RISING.index)

    def _end_early(self, start) -> None:
        early = self.early.pop(start.incident, None)
        if early is None or start.started is None or start.started > early.told.received:
            return
        if start.received - early.told.received > DAY:
            return
        incident = self.incidents[-1]
        outcome, _ = self._end(early.told, early.decided, start.received)
        assert outcome == "ended"
        self._see(early.number, early.told, outcome, incident)

    def _rule(self, told, decided, at):
        if told.event == "other":
            return "nothing", None
        before = [sight for sight in self.seen if sight.identity == told.identity]
        if before:
            goes_on = before[-1].incident.closed is None and told.started is not None
            if goes_on or at - before[-1].at <= DAY:
                grown = told.event == "start" and self._grown(before, told, decided, at)
                return grown or ("repeated", before[-1].incident)
        return self._end(told, decided, at) if told.event == "end" else self._start(told, decided, at)

    def _grown(self, before, told, decided, at):
        """It escalates if it is more severe than before; held back by a cooldown, it may be a start now."""
        incident = before[-1].incident
        if told.incident not in incident.going_on or incident.superseded:
            return None
        if incident.closed:
            open_ones = self._own(told, decided, at)
            _, held = self._near(told, decided, at)
            if not open_ones and (held or decided.filter is None):
                return None
            return self._start(told, decided, at)
        had = [each for each in before if each.incident is incident and each.outcome != "repeated"]
        more = RISING.index(told.severity) > max(RISING.index(each.severity) for each in had)
        if more or told.targets[0] not in {each.target for each in had}:
            return self._join(incident, told, decided, at)
        return None

    def _own(self, told, decided, at):
        """Open incidents with the alert's key."""
        silence = max(timedelta(seconds=decided.cooldown), DAY)
        return [
            each
            for each in self.incidents
            if told.incident in each.known and not each.closed and at - each.last <= silence
        ]

    def _near(self, told, decided, at):
        """The incident about the same target that takes a start, and whether it is over and holds it back."""
        cooldown = timedelta(seconds=decided.cooldown)
        near = [
            each
            for each in self.incidents
            if each.about == decided.about
            and cooldown
            and at - each.last < cooldown
            and not each.superseded
            and (not each.closed or at - each.opened < DAY)
        ]
        for each in sorted(near, key=lambda each: (not each.closed, each.last), reverse=True):
            if not each.closed:
                return each, False
            # All plans are about the same packets, so a start never asks for others.
            shorter = min(cooldown, timedelta(seconds=each.cooldown))
            within = shorter and at - each.last < shorter
            if within and RISING.index(told.severity) <= RISING.index(each.gravest):
                return each, True
        return None, False

    def _start(self, told, decided, at):
        if own := self._own(told, decided, at):
            # Among equals the inbox may take any; the machine's times make them differ.
            return self._join(max(own, key=lambda each: each.last), told, decided, at)
        if decided.filter is None:
            return "nothing", None
        near, held = self._near(told, decided, at)
        if near:
            return ("joined", near) if held else self._join(near, told, decided, at)
        for each in self.incidents:
            if not each.closed and (told.incident == each.key or told.incident in each.going_on):
                each.closed, each.superseded = at, True
        captures = self._spend(decided, at)
        opened = Incident(told.incident, decided.about, at, at, captures)
        opened.cooldown = decided.cooldown
        opened.gravest, opened.numbers = told.severity, max(captures, default=0)
        opened.going_on, opened.known = {told.incident}, {told.incident}
        opened.windows = [window(each) for each in decided.captures[: len(captures)]]
        self.incidents.append(opened)
        self.orders.append((opened, "start", captures, at))
        return ("opened" if len(captures) == len(decided.captures) else "over_budget"), opened

    def _join(self, incident, told, decided, at):
        more_severe = RISING.index(told.severity) > RISING.index(incident.gravest)
        lacking = [lacks(window(each), incident.windows) for each in decided.captures]
        new = [(each, left) for each, left in zip(decided.captures, lacking, strict=True) if left]
        # All plans are about the same packets: they are new to an incident without any captures.
        if not new or not (more_severe or not incident.windows):
            return "joined", incident
        renumbered = tuple(
            each.model_copy(update={"number": incident.numbers + place})
            for place, (each, _) in enumerate(new, start=1)
        )
        captures = self._spend(decided.model_copy(update={"captures": renumbered}), at)
        if not captures:
            return "joined", incident
        incident.numbers += len(captures)
        incident.windows += [left for _, left in new[: len(captures)]]
        incident.escalations += 1
        self.orders.append((incident, "escalation", captures, at))
        return "escalated", incident

    def _end(self, told, decided, at):
        own = [each for each in self.incidents if told.incident in each.going_on and not each.closed]
        if own:
            incident = max(own, key=lambda each: each.last)
            if incident.going_on != {told.incident}:
                return "joined", incident
            incident.going_on.clear()
            incident.closed, incident.last = at, max(incident.last, at)
            self.orders.append((incident, "end", self._spend(decided, at), at))
            return "ended", incident
        heard = [sight.incident for sight in self.seen if sight.key == told.incident]
        return ("repeated", heard[-1]) if heard else ("nothing", None)

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
        self.early = {
            key: each
            for key, each in self.early.items()
            if each.arrived >= before and each.told.received >= before
        }
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
        "severity": st.sampled_from(["low", "unknown", "critical"]),
    }
)
plans = st.fixed_dictionaries(
    {
        "captures": st.integers(0, 3),
        "cooldown": st.sampled_from([0, 0, 300, 3000, 200_000]),
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
        expected = [self.model.settle(*each, received) for each in taken]
        assert self.inbox.settle(arrival, taken) == expected
        self.settled.append((arrival, expected))

    @precondition(lambda self: self.settled)
    @rule(told=st.tuples(alerts, plans))
    def settle_again(self, told) -> None:
        arrival, expected = self.settled[-1]
        each = alert(**told[0], at=self.now)
        found = self.inbox.settle(arrival, [(each, decided_so(each, told[1]))])
        # An end that came to nothing counts once its start is there.
        assert len(found) == len(expected)
        for now, then in zip(found, expected, strict=True):
            assert now == then or (then, now) == ("nothing", "ended")
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
                each.escalations,
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
        assert all(
            order.key == derive(order.incident, order.event)
            for order in orders
            if order.event != "escalation"
        )
        assert len({order.key for order in orders}) == len(orders)

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
