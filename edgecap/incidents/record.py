"""An incident in the archive: its start, its end, and one record of it once it is closed.

Every record is create-only: a flow that runs again finds what it wrote before and continues from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from edgecap.alerts.model import Alert
from edgecap.alerts.policy.decision import Plan, Planned
from edgecap.alerts.words import in_words
from edgecap.archive.layout import INCIDENTS, held_back_prefix, incident_event_key, incident_key, lost_key
from edgecap.archive.text import Json, read_json, to_json
from edgecap.captures.incident_part import IncidentPart, Phase
from edgecap.errors import ObjectExists, ObjectMissing
from edgecap.stores.base import Store
from edgecap.units import plural

FORMAT = "edgecap-incident/1"
_Record = TypeVar("_Record", bound=BaseModel)


class IncidentEvent(BaseModel):
    """The alert that began or ended an incident, and what was planned because of it. Decided once."""

    model_config = ConfigDict(extra="allow", frozen=True)

    incident: str
    alert: Json = Field(description="Without its payload")
    plan: Plan
    account: str = Field(description="Name of the account in the settings")
    at: AwareDatetime

    @property
    def alert_in_words(self) -> str:
        """The alert in a line for people; by its internal name if a newer version wrote it."""
        try:
            return in_words(Alert.model_validate(self.alert))
        except ValidationError:
            return self.plan.alert

    @property
    def parts(self) -> Iterator[tuple[IncidentPart, Planned]]:
        """The captures that were planned, in the order in which they matter."""
        for each in self.plan.captures:
            part = IncidentPart(
                incident=self.incident, phase=each.phase, number=each.number, alert=dict(self.alert)
            )
            yield part, each


class Part(BaseModel):
    """What became of one planned capture."""

    model_config = ConfigDict(extra="allow", frozen=True)

    phase: Phase
    number: int
    request: str = Field(description="What was asked for, in a line")
    why: str
    state: Literal["archived", "missing", "pending"] = Field(
        description="missing: it is over and there are no packets"
    )
    entry: str = Field("", description="Prefix of the entry in the archive")
    reason: str = Field("", description="Why it is missing, or what it waits for")
    packets: int | None = None
    bytes: int | None = None
    capture_id: str = ""

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
    def missing(self) -> tuple[Part, ...]:
        """The captures without packets."""
        return tuple(part for part in self.captures if part.state != "archived")

    def __str__(self) -> str:
        """One line for states and messages; captures that are missing for one reason are put together."""
        got = len(self.captures) - len(self.missing)
        packets = sum(part.packets or 0 for part in self.captures)
        line = f"{got} of {plural(len(self.captures), 'capture')} archived, {plural(packets, 'packet')}"
        told = "; ".join(f"{names} ({reason})" for reason, names in by_reason(self.missing).items())
        return line + (f"; missing: {told}" if told else "")

    @property
    def counts(self) -> str:
        """As `str`, without the reasons of what is missing."""
        return str(self).partition("; missing: ")[0]


class Incidents:
    """The incidents of an archive."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __repr__(self) -> str:
        return f"<Incidents {self._store.uri}/{INCIDENTS}>"

    def open(self, noted: IncidentEvent) -> IncidentEvent:
        """Write how it began. The first record stands.

        Raises:
            StoreError: it cannot be written.
        """
        return self._put(incident_event_key(noted.incident, "opened"), noted)

    def end(self, noted: IncidentEvent) -> IncidentEvent:
        """Write how it ended. The first record stands.

        Raises:
            StoreError: it cannot be written.
        """
        return self._put(incident_event_key(noted.incident, "ended"), noted)

    def close(self, incident: Incident) -> Incident:
        """Write its closing record. The first one stands.

        Raises:
            StoreError: it cannot be written.
        """
        return self._put(incident_key(incident.incident), incident)

    def opened(self, incident_id: str) -> IncidentEvent | None:
        """How it began, or None if that is not known here."""
        return self._get(incident_event_key(incident_id, "opened"), IncidentEvent)

    def ended(self, incident_id: str) -> IncidentEvent | None:
        """How it ended, or None if it has not."""
        return self._get(incident_event_key(incident_id, "ended"), IncidentEvent)

    def closed(self, incident_id: str) -> Incident | None:
        """The record of a closed incident, or None."""
        return self._get(incident_key(incident_id), Incident)

    def lose(self, incident_id: str, phase: Phase, number: int, lost: Lost) -> Lost:
        """Write down that a capture's run ended and asked for nothing. The first record stands.

        Raises:
            StoreError: it cannot be written.
        """
        return self._put(lost_key(incident_id, phase, number), lost)

    def lost(self, incident_id: str, phase: Phase, number: int) -> Lost | None:
        """Why a capture's run ended and asked for nothing; None if that is not written down."""
        return self._get(lost_key(incident_id, phase, number), Lost)

    def count(self, incident_id: str, counts: HeldBack) -> None:
        """Write down how many alerts joined or repeated an incident so far; the same again changes nothing.

        Raises:
            StoreError: it cannot be written.
        """
        self._put(f"{held_back_prefix(incident_id)}{counts.total:09d}.json", counts)

    def held_back(self, incident_id: str) -> HeldBack:
        """The highest counts that were written down; zeros if there are none.

        Raises:
            Damaged: the counts cannot be read.
            StoreError: the archive cannot be.
        """
        keys = [info.key for info in self._store.list(held_back_prefix(incident_id))]
        return read_json(self._store, max(keys), HeldBack) if keys else HeldBack()

    def ids(self, beginning: str = "") -> list[str]:
        """The ids that begin with this, of open and closed incidents, sorted."""
        names = (info.key.removeprefix(INCIDENTS) for info in self._store.list(INCIDENTS + beginning))
        return sorted({name.partition("/")[0].removesuffix(".json") for name in names})

    def _put(self, key: str, record: _Record) -> _Record:
        try:
            self._store.put(key, to_json(record))
        except ObjectExists:
            return read_json(self._store, key, type(record))
        return record

    def _get(self, key: str, model: type[_Record]) -> _Record | None:
        try:
            return read_json(self._store, key, model)
        except ObjectMissing:
            return None


def closed_record(
    opened: IncidentEvent,
    ended: IncidentEvent | None,
    captures: tuple[Part, ...],
    *,
    held_back: HeldBack,
    at: datetime,
) -> Incident:
    """The closing record of an incident.

    Args:
        opened: how it began.
        ended: how it ended, if that was reported.
        captures: what became of each planned one.
        held_back: alerts that joined it.
        at: now, aware.
    """
    remarks = [*opened.plan.remarks, *(ended.plan.remarks if ended else ())]
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
