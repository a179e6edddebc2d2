"""All about an incident: from the archive, and from the inbox if that is on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import ValidationError

from edgecap.alerts.model import Alert, rank
from edgecap.alerts.policy.decision import Plan, Planned
from edgecap.alerts.words import briefly, in_words
from edgecap.analytics.dropped import Dropped, PacketFile
from edgecap.archive.journal import Journal
from edgecap.captures.incident_part import Phase
from edgecap.errors import Damaged, EntryMissing
from edgecap.incidents.drops import Drops, newest, read_drops
from edgecap.incidents.inbox.alert_inbox import AlertInbox, InboxIncident, RunRequest
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.mitigation import with_mitigation
from edgecap.incidents.record import HeldBack, Incident, IncidentEvent, Part
from edgecap.incidents.status import part_of, waiting
from edgecap.stores.base import Store
from edgecap.units import clock, stamp

State = Literal["waits for Prefect", "refused by Prefect", "starting", "open", "ending", "closed"]
"""The first three: it is only in the inbox yet. `ending`: its end was reported."""

_MOST = 1000  # incidents and orders that are read from the inbox; it holds those of ninety days
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Overview:
    """One incident. None means not known, or not yet. Times are aware, UTC.

    Attributes:
        id: 32 hex digits.
        opened: how it began, from the archive.
        escalations: the alerts that added captures, in the order of time.
        ended: how it ended.
        record: the record of it once it is closed.
        counted: alerts that joined or repeated it, as the receiver wrote them into the archive.
        in_inbox: what the inbox says of it.
        orders: runs that Prefect does not have yet, or refused.
        drops: what the edge dropped, as far as it was asked for; the first record first.
    """

    id: str
    opened: IncidentEvent | None = None
    escalations: tuple[IncidentEvent, ...] = ()
    ended: IncidentEvent | None = None
    record: Incident | None = None
    counted: HeldBack = field(default_factory=HeldBack)
    in_inbox: InboxIncident | None = None
    orders: tuple[RunRequest, ...] = ()
    drops: tuple[Drops, ...] = ()

    @property
    def dropped(self) -> Dropped | None:
        """What the edge passed and dropped, as it is known best; None if it is not."""
        last = newest(self.drops)
        return last.best if last else None

    @property
    def planned(self) -> dict[tuple[str, int], Planned]:
        """The planned captures, by phase and number."""
        plans = [noted.plan for noted in (self.opened, *self.escalations, self.ended) if noted]
        if self.opened is None and self.in_inbox:
            plans.append(self.in_inbox.plan)
        return {(each.phase, each.number): each for plan in plans for each in plan.captures}

    def with_mitigation(self, parts: Iterable[Part]) -> list[Part]:
        """Captures of it, those as `mitigated` that have no packets because the edge dropped them."""
        return with_mitigation(parts, self.planned, self.dropped, decided=self.began, ended=self.attack_ended)

    @property
    def dropped_packets(self) -> PacketFile | None:
        """The newest file with the headers of dropped packets; None if there is none."""
        found = (each.logpush.packets for each in reversed(self.drops) if each.logpush)
        return next((each for each in found if each), None)

    @property
    def state(self) -> State:
        """Its state."""
        if self.record:
            return "closed"
        if self.opened or self.ended:
            return "ending" if self.ended else "open"
        if self.orders:
            return "refused by Prefect" if self.orders[0].refused else "waits for Prefect"
        return "starting"

    @property
    def began(self) -> datetime | None:
        """When it was opened."""
        if self.in_inbox:
            return self.in_inbox.opened
        if self.record:
            return self.record.opened
        first = self.opened or self.ended
        return first.at if first else None

    @property
    def first_alert(self) -> Alert | None:
        """The alert that opened it; None if it is not known, or a newer version wrote it."""
        for told in (self.opened, self.record, self.ended):
            if told is not None and (alert := told.parsed):
                return alert
        return self.in_inbox.alert if self.in_inbox else None

    @property
    def attack_began(self) -> datetime | None:
        """When the attack began: as its alert says, else when that arrived."""
        alert = self.first_alert
        return alert.started or alert.received if alert else self.began

    @property
    def attack_ended(self) -> datetime | None:
        """When the attack ended: as its last alert says, else when that arrived; None if it has not."""
        alert = self.ended.parsed if self.ended else None
        return alert.ended or alert.received if alert else self.end_told

    @property
    def end_told(self) -> datetime | None:
        """When the alert of the end arrived, which may be long after the attack's end."""
        if self.ended:
            alert = self.ended.parsed
            return alert.received if alert else self.ended.at
        return self.record.ended if self.record else None

    @property
    def severity(self) -> str:
        """How severe it is, such as `high`, or `medium → critical at 14:50:55`; empty if no alert says it."""
        return " → ".join(
            alert.severity + (f" at {clock(alert.received)}" if number else "")
            for number, alert in enumerate(self._rising)
        )

    @property
    def _rising(self) -> list[Alert]:
        """The alerts that were more severe than all before them."""
        rising: list[Alert] = []
        for event in filter(None, (self.opened, *self.escalations)):
            alert = event.parsed
            if alert is None or alert.severity == "unknown":
                continue
            if not rising or rank(alert.severity) > rank(rising[-1].severity):
                rising.append(alert)
        return rising

    def decided(self, phase: Phase, number: int) -> datetime | None:
        """When this capture was decided: with the alert that called for it, which may be an escalation's."""
        for noted in filter(None, (self.opened, *self.escalations, self.ended)):
            if any((each.phase, each.number) == (phase, number) for each in noted.plan.captures):
                return noted.at
        return self.began

    @property
    def rule(self) -> str:
        """The rule that it was opened by."""
        if self.record:
            return self.record.rule
        first = self.opened or self.ended
        return first.plan.rule if first else self.in_inbox.rule if self.in_inbox else ""

    @property
    def alert(self) -> str:
        """The alert that opened it, in a few words, with all severities, such as `high → critical`."""
        if self.opened:
            first, severity = self.opened.parsed, " → ".join(each.severity for each in self._rising)
            return briefly(first, severity=severity) if first else self.opened.alert_briefly
        if self.in_inbox:
            return briefly(self.in_inbox.alert)
        return _line(self.record.alert if self.record else self.ended.alert if self.ended else {})

    @property
    def alert_in_words(self) -> str:
        """The alert that opened it, in a line for people."""
        if self.opened:
            return self.opened.alert_in_words
        return in_words(self.in_inbox.alert) if self.in_inbox else self.alert

    @property
    def plans(self) -> Iterator[tuple[str, Plan, str]]:
        """What was decided at its start, later, and at its end: a title, the plan, and the alert in words."""
        if first := self.opened or self.in_inbox:
            yield "At the start", first.plan, self.alert_in_words
        for each in self.escalations:
            yield f"At {stamp(each.at)}, when an alert added captures", each.plan, each.alert_in_words
        if self.ended:
            yield "At the end", self.ended.plan, self.ended.alert_in_words

    @property
    def held_back(self) -> HeldBack:
        """Alerts that joined or repeated it: the highest counts, for some may be newer than the record."""
        found = [self.counted, self.record.held_back if self.record else HeldBack()]
        if self.in_inbox:
            found.append(HeldBack(joined=self.in_inbox.joined, repeated=self.in_inbox.repeated))
        return max(found, key=lambda counts: counts.total)


class Overviews:
    """The incidents of an archive and of an inbox.

    Args:
        store: the archive.
        inbox: the receiver's, opened to be read; None if it is not on this machine.
    """

    def __init__(self, store: Store, inbox: AlertInbox | None) -> None:
        self._store = store
        self._incidents = Incidents(store)
        self._journal = Journal(store)
        in_inbox = inbox.incidents(_MOST) if inbox else []
        self._in_inbox = {each.id: each for each in in_inbox}
        self._orders: dict[str, tuple[RunRequest, ...]] = {}
        waiting = [*inbox.orders(_MOST), *inbox.orders(_MOST, refused=True)] if inbox else []
        for order in sorted(waiting, key=_number):
            self._orders[order.incident] = (*self._orders.get(order.incident, ()), order)

    def __repr__(self) -> str:
        return f"<Overviews {self._incidents!r}, {len(self._in_inbox)} in the inbox>"

    def ids(self, beginning: str = "") -> list[str]:
        """The ids that begin with this, sorted."""
        in_inbox = {id_ for id_ in self._in_inbox if id_.startswith(beginning)}
        return sorted({*self._incidents.ids(beginning), *in_inbox})

    def read(self, incident_id: str) -> Overview:
        """The incident with this id.

        Raises:
            Damaged: a record of it cannot be read.
            StoreError: the archive cannot be.
        """
        told = self._incidents.told(incident_id)
        return Overview(
            incident_id,
            opened=told.opened,
            escalations=tuple(told.escalations),
            ended=told.ended,
            record=self._incidents.closed(incident_id),
            counted=self._incidents.held_back(incident_id),
            in_inbox=self._in_inbox.get(incident_id),
            orders=self._orders.get(incident_id, ()),
            drops=read_drops(self._store, incident_id),
        )

    def find(self, beginning: str) -> Overview:
        """The one with this id, or an unambiguous beginning of one.

        Raises:
            EntryMissing: no id, or more than one, begins with it.
            Damaged: a record of it cannot be read.
            StoreError: the archive cannot be.
        """
        wanted = beginning.strip().lower()
        found = self.ids(wanted) if wanted.isalnum() else []
        if len(found) > 1 and wanted not in found:
            shown = ", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
            raise EntryMissing(
                f"{len(found)} incidents begin with {wanted!r}: {shown}", hint="give more of the id"
            )
        if not found:
            raise EntryMissing(
                f"unknown incident {beginning!r}",
                where=self._store.uri,
                hint="`edgecap incident list` shows all",
            )
        return self.read(wanted if wanted in found else found[0])

    def newest(self) -> tuple[list[Overview], list[Damaged]]:
        """All incidents, newest first; and an error for each one that cannot be read.

        Raises:
            StoreError: the archive cannot be read.
        """
        found, damaged = [], []
        for id_ in self.ids():
            try:
                found.append(self.read(id_))
            except Damaged as error:
                damaged.append(error)
        found.sort(key=_age)
        return found, damaged

    def parts(self, incident: Overview) -> Iterator[Part]:
        """What became of each of its captures; while it is open, as far as the archive tells.

        Raises:
            StoreError: the archive cannot be read.
        """
        yield from incident.with_mitigation(self._parts(incident))

    def _parts(self, incident: Overview) -> Iterator[Part]:
        if incident.record:
            yield from incident.record.captures
            return
        for noted in filter(None, (incident.opened, *incident.escalations, incident.ended)):
            for part, planned in noted.parts:
                yield part_of(self._store, incident.id, planned, self._journal.follow(part.intent_id))
        if not incident.opened and incident.in_inbox:
            for planned in incident.in_inbox.plan.captures:
                yield waiting(planned, incident.state)


def _line(alert: dict[str, Any]) -> str:
    """The alert in a few words, also if a newer version wrote it."""
    try:
        return briefly(Alert.model_validate(alert))
    except ValidationError:
        return " ".join(str(alert[name]) for name in ("source", "kind") if name in alert)


def _number(order: RunRequest) -> int:
    return order.id


def _age(incident: Overview) -> tuple[float, str]:
    began = incident.began
    return (-began.timestamp() if began else 0.0, incident.id)
