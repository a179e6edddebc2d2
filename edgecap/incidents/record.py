"""The records of an incident: its start, what was added, its end, and one of all once it is closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from edgecap.alerts.model import Alert
from edgecap.alerts.policy.decision import Plan, Planned
from edgecap.alerts.words import briefly, in_words
from edgecap.archive.layout import safe_name
from edgecap.archive.text import Json
from edgecap.captures.incident_part import IncidentPart, Phase
from edgecap.units import plural, stamp

FORMAT = "edgecap-incident/1"
OPENED, ENDED, ESCALATED = "opened", "ended", "escalated/"
"""Names of the records of an incident's alerts; the last is where the names of escalations begin."""
PLACED = "placed/"
"""Where the names of the records of places begin; the event's name and a number follow."""


class IncidentEvent(BaseModel):
    """The alert that began, escalated or ended an incident, and what was planned for it. Decided once."""

    model_config = ConfigDict(extra="allow", frozen=True)

    incident: str
    alert: Json = Field(description="Without its payload")
    plan: Plan
    account: str = Field(description="Name of the account in the settings")
    at: AwareDatetime

    @property
    def alert_in_words(self) -> str:
        """The alert in a line for people; by its internal name if a newer version wrote it."""
        return self._told(in_words)

    @property
    def alert_briefly(self) -> str:
        """The same in a few words, without the time."""
        return self._told(briefly)

    def _told(self, tell: Callable[[Alert], str]) -> str:
        return tell(self.parsed) if self.parsed else self.plan.alert

    @property
    def parsed(self) -> Alert | None:
        """The alert; None if a newer version wrote it in a form that this one cannot read."""
        return _parsed(self.alert)

    @property
    def parts(self) -> Iterator[tuple[IncidentPart, Planned]]:
        """The captures that were planned, in the order in which they matter."""
        for each in self.plan.captures:
            part = IncidentPart(
                incident=self.incident,
                phase=each.phase,
                number=each.number,
                alert=dict(self.alert),
                choice=each.choice,
            )
            yield part, each

    @property
    def awaits_places(self) -> bool:
        """Whether data centres of its captures are yet to be chosen."""
        return any(each.awaits_place for each in self.plan.captures)

    def placed(self, records: Sequence[Placed]) -> IncidentEvent:
        """The same, with its full captures at the data centres that were chosen.

        Args:
            records: of the choices for it, in their order; none: it stays as it is.
        """
        if not records or not self.awaits_places:
            return self
        chosen = [each for record in records for each in record.captures]
        at = next(place for place, each in enumerate(self.plan.captures) if each.awaits_place)
        others = [each for each in self.plan.captures if not each.awaits_place]
        plan = self.plan.model_copy(
            update={
                "captures": (*others[:at], *chosen, *others[at:]),
                "remarks": (*self.plan.remarks, *(record.remark for record in records)),
            }
        )
        return self.model_copy(update={"plan": plan})

    def without(self, before: IncidentEvent) -> IncidentEvent:
        """The same, with only those captures that an earlier form of it does not have."""
        known = {(each.phase, each.number) for each in before.plan.captures if not each.awaits_place}
        new = tuple(each for each in self.plan.captures if (each.phase, each.number) not in known)
        return self.model_copy(update={"plan": self.plan.model_copy(update={"captures": new})})


class Placed(BaseModel):
    """Where the full captures of an event go that named no data centre. Decided once."""

    model_config = ConfigDict(extra="allow", frozen=True)

    captures: tuple[Planned, ...] = Field(description="One for each data centre, in their order")
    remark: str = Field(description="The choice in words, also if there is none")
    at: AwareDatetime


@dataclass(frozen=True, slots=True)
class Told:
    """The alerts that made captures for an incident, as far as they are in the archive.

    Attributes:
        records: by the names of their records, as they were decided.
        places: the choices of data centres, by the names of their records.
    """

    records: Mapping[str, IncidentEvent]
    places: Mapping[str, Placed] = field(default_factory=dict)

    def placed(self, name: str) -> list[Placed]:
        """The choices of data centres for the event of this name, in their order."""
        begin = f"{PLACED}{name}/"
        found = [each for each in self.places if each.startswith(begin)]
        return [self.places[each] for each in sorted(found, key=_number)]

    def event(self, name: str) -> IncidentEvent | None:
        """The event of this name, with its captures at the places that were chosen."""
        found = self.records.get(name)
        return found.placed(self.placed(name)) if found else None

    @property
    def opened(self) -> IncidentEvent | None:
        """How it began."""
        return self.event(OPENED)

    @property
    def escalations(self) -> list[IncidentEvent]:
        """The alerts that added captures, in the order of time."""
        found = [self.event(name) for name in self.records if name.startswith(ESCALATED)]
        return sorted(filter(None, found), key=_at)

    @property
    def ended(self) -> IncidentEvent | None:
        """How it ended, or None if it has not."""
        return self.event(ENDED)

    @property
    def events(self) -> list[IncidentEvent]:
        """All of them, from the start to the end."""
        return [each for each in (self.opened, *self.escalations, self.ended) if each]


def escalation_name(event: IncidentEvent) -> str:
    """The name of the record of an alert that added captures."""
    return f"{ESCALATED}{safe_name(str(event.alert.get('identity', '')))}"


def _parsed(alert: Json) -> Alert | None:
    try:
        return Alert.model_validate(alert)
    except ValidationError:
        return None


def _number(name: str) -> int:
    return int(name.rpartition("/")[2])


def _at(event: IncidentEvent) -> datetime:
    return event.at


class Part(BaseModel):
    """What became of one planned capture."""

    model_config = ConfigDict(extra="allow", frozen=True)

    phase: Phase
    number: int
    request: str = Field(description="What was asked for, in a line")
    why: str
    state: Literal["archived", "missing", "pending", "mitigated"] = Field(
        description="missing: it is over and there are no packets. mitigated: likewise, because the edge "
        "dropped them before"
    )
    entry: str = Field("", description="Prefix of the entry in the archive")
    reason: str = Field("", description="Why it is missing, or what it waits for")
    packets: int | None = None
    bytes: int | None = None
    capture_id: str = ""
    submitted: AwareDatetime | None = Field(
        None, description="When Cloudflare accepted it; a full capture records from then on"
    )

    def __str__(self) -> str:
        """Such as `before 1: 1,204 packets` or `during 1: missing, no packets matched`."""
        if self.state == "archived":
            return f"{self.phase} {self.number}: {plural(self.packets or 0, 'packet')}"
        return f"{self.phase} {self.number}: {self.state}, {self.reason}"


class Lost(BaseModel):
    """The run of a capture ended before it asked Cloudflare for anything. The journal may not know of it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    reason: str = Field(description="One line for people")
    at: AwareDatetime = Field(description="When it was written down")


def by_reason(parts: Iterable[Part]) -> dict[str, str]:
    """Each reason once, with the names of its captures, such as `during 1, during 2`."""
    names: dict[str, list[str]] = {}
    for part in parts:
        names.setdefault(part.reason, []).append(f"{part.phase} {part.number}")
    return {reason: ", ".join(each) for reason, each in names.items()}


class Notice(BaseModel):
    """A notification about an incident went out. It is not sent again."""

    model_config = ConfigDict(extra="allow", frozen=True)

    at: AwareDatetime


class HeldBack(BaseModel):
    """Alerts that started nothing, because their incident was open already. The receiver counts them."""

    model_config = ConfigDict(extra="allow", frozen=True)

    repeated: int = Field(0, description="The same alert, sent again")
    joined: int = Field(0, description="Other alerts for the same target, or the same attack")

    @property
    def total(self) -> int:
        """All of them."""
        return self.joined + self.repeated


class Incident(BaseModel):
    """A closed incident."""

    model_config = ConfigDict(extra="allow", frozen=True)

    format: str = Field(FORMAT, pattern=r"^edgecap-incident/\d+$")
    incident: str
    alert: Json
    rule: str
    opened: AwareDatetime
    ended: AwareDatetime | None = Field(None, description="When its end was reported; null if it was not")
    closed: AwareDatetime
    captures: tuple[Part, ...]
    held_back: HeldBack = HeldBack()
    remarks: tuple[str, ...] = Field((), description="Remarks for people on how it was decided")

    @property
    def parsed(self) -> Alert | None:
        """The alert that opened it; None if a newer version wrote it in a form that this one cannot read."""
        return _parsed(self.alert)

    @property
    def missing(self) -> tuple[Part, ...]:
        """The captures without packets."""
        return tuple(part for part in self.captures if part.state not in ("archived", "mitigated"))

    @property
    def mitigated(self) -> tuple[Part, ...]:
        """The captures without packets because the edge had dropped them."""
        return tuple(part for part in self.captures if part.state == "mitigated")

    def __str__(self) -> str:
        """One line for states and messages; captures that are missing for one reason are put together."""
        got = len(self.captures) - len(self.missing) - len(self.mitigated)
        packets = sum(part.packets or 0 for part in self.captures)
        line = f"{got} of {plural(len(self.captures), 'capture')} archived, {plural(packets, 'packet')}"
        for what, parts in (("no packets passed", self.mitigated), ("missing", self.missing)):
            told = "; ".join(f"{names} ({reason})" for reason, names in by_reason(parts).items())
            line += f"; {what}: {told}" if told else ""
        return line

    @property
    def counts(self) -> str:
        """As `str`, without the reasons of what has no packets."""
        return str(self).partition("; ")[0]


def closed_record(
    opened: IncidentEvent,
    ended: IncidentEvent | None,
    captures: tuple[Part, ...],
    *,
    escalations: Sequence[IncidentEvent] = (),
    held_back: HeldBack,
    at: datetime,
) -> Incident:
    """The closing record of an incident.

    Args:
        opened: how it began.
        ended: how it ended, if that was reported.
        captures: what became of each planned one.
        escalations: the alerts that added captures.
        held_back: alerts that joined it.
        at: now, aware.
    """
    remarks = list(opened.plan.remarks)
    for each in escalations:
        more = plural(len(each.plan.captures), "capture")
        remarks += [f"{more} added at {stamp(each.at)}: {each.alert_in_words}", *each.plan.remarks]
    remarks += ended.plan.remarks if ended else ()
    if not opened.plan.captures:
        remarks.insert(0, opened.plan.reason)
    return Incident(
        incident=opened.incident,
        alert=opened.alert,
        rule=opened.plan.rule,
        opened=opened.at,
        ended=ended.at if ended else None,
        closed=at,
        captures=captures,
        held_back=held_back,
        remarks=tuple(dict.fromkeys(remarks)),
    )
