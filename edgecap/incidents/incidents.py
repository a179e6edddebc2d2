"""The incidents of an archive. Records are create-only: a flow that runs again finds what it wrote before."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel

from edgecap.archive.layout import (
    INCIDENTS,
    escalation_key,
    held_back_prefix,
    incident_event_key,
    incident_key,
    incident_prefix,
    lost_key,
    notice_key,
    placed_key,
    proposals_key,
)
from edgecap.archive.text import read_json, to_json
from edgecap.captures.incident_part import Phase
from edgecap.errors import ObjectExists, ObjectMissing
from edgecap.incidents.record import (
    ENDED,
    ESCALATED,
    OPENED,
    PLACED,
    HeldBack,
    Incident,
    IncidentEvent,
    Lost,
    Notice,
    Placed,
    Told,
)
from edgecap.proposals.model import Proposals
from edgecap.stores.base import Store

_Record = TypeVar("_Record", bound=BaseModel)


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
        return self._put(incident_event_key(noted.incident, OPENED), noted)

    def end(self, noted: IncidentEvent) -> IncidentEvent:
        """Write how it ended. The first record stands.

        Raises:
            StoreError: it cannot be written.
        """
        return self._put(incident_event_key(noted.incident, ENDED), noted)

    def escalate(self, noted: IncidentEvent) -> IncidentEvent:
        """Write which captures an alert added to it. The first record of an alert stands.

        Raises:
            StoreError: it cannot be written.
        """
        return self._put(escalation_key(noted.incident, str(noted.alert.get("identity", ""))), noted)

    def place(self, incident_id: str, event: str, number: int, placed: Placed) -> Placed:
        """Write at which data centres an event's full captures are. The first record of a number stands.

        Args:
            incident_id: the incident's id.
            event: the name of the event's record.
            number: of the choice, from 1.
            placed: the choice.

        Raises:
            StoreError: it cannot be written.
        """
        return self._put(placed_key(incident_id, event, number), placed)

    def close(self, incident: Incident) -> Incident:
        """Write its closing record. The first one stands.

        Raises:
            StoreError: it cannot be written.
        """
        return self._put(incident_key(incident.incident), incident)

    def opened(self, incident_id: str) -> IncidentEvent | None:
        """How it began, or None if that is not known here."""
        return self._get(incident_event_key(incident_id, OPENED), IncidentEvent)

    def ended(self, incident_id: str) -> IncidentEvent | None:
        """How it ended, or None if it has not."""
        return self._get(incident_event_key(incident_id, ENDED), IncidentEvent)

    def told(self, incident_id: str, known: Told | None = None) -> Told:
        """The alerts that made captures.

        Args:
            incident_id: its id.
            known: what an earlier call returned. It is not read again.

        Raises:
            Damaged: a record cannot be read.
            StoreError: the archive cannot be.
        """
        prefix, before = incident_prefix(incident_id), known or Told({})
        names = [info.key.removeprefix(prefix).removesuffix(".json") for info in self._store.list(prefix)]
        return Told(
            {
                name: before.records.get(name)
                or read_json(self._store, f"{prefix}{name}.json", IncidentEvent)
                for name in names
                if name in (OPENED, ENDED) or name.startswith(ESCALATED)
            },
            {
                name: before.places.get(name) or read_json(self._store, f"{prefix}{name}.json", Placed)
                for name in names
                if name.startswith(PLACED)
            },
        )

    def has_told(self, incident_id: str, event: str, channel: str) -> bool:
        """Whether a notification about it went to a channel."""
        return self._get(notice_key(incident_id, event, channel), Notice) is not None

    def note_told(self, incident_id: str, event: str, channel: str, at: datetime) -> None:
        """Write down that a notification about it went to a channel, at a time (aware).

        Raises:
            StoreError: it cannot be written.
        """
        self._put(notice_key(incident_id, event, channel), Notice(at=at))

    def propose(self, incident_id: str, proposals: Proposals) -> Proposals:
        """Write which filters were proposed. The first record stands.

        Raises:
            StoreError: it cannot be written.
        """
        return self._put(proposals_key(incident_id), proposals)

    def proposals(self, incident_id: str) -> Proposals | None:
        """The filters that were proposed; None if none were looked for."""
        return self._get(proposals_key(incident_id), Proposals)

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
