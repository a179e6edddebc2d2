"""What became of an incident's captures: the one maker of a `Part`."""

from __future__ import annotations

from datetime import datetime

from edgecap.alerts.policy.decision import Planned
from edgecap.archive.entries import read_entry
from edgecap.archive.journal_records import JournalRecord
from edgecap.errors import Damaged, EntryMissing
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.record import Part
from edgecap.stores.base import Store


def waiting(planned: Planned, reason: str) -> Part:
    """A capture that is not over, and what it waits for."""
    return Part(
        phase=planned.phase,
        number=planned.number,
        request=str(planned.request),
        why=planned.why,
        state="pending",
        reason=reason,
    )


def missing(part: Part, reason: str) -> Part:
    """The same capture, over and without packets."""
    return part.model_copy(update={"state": "missing", "reason": reason})


def part_of(store: Store, incident: str, planned: Planned, record: JournalRecord | None) -> Part:
    """What became of a planned capture, as the archive tells.

    An entry that is no longer there, or whose manifest is damaged, was kept all the same: its part says
    `archived`, without numbers.

    Args:
        store: the archive.
        incident: the incident's id.
        planned: the capture.
        record: what the journal has of its intent; None if there is no intent yet.

    Raises:
        StoreError: the archive does not answer, so nothing is known.
    """
    if record is None or not (record.accepted or record.ended):
        # A run that starts again later is in the journal, and its capture counts as soon as it is accepted.
        lost = Incidents(store).lost(incident, planned.phase, planned.number)
        if lost:
            return missing(waiting(planned, ""), lost.reason)
    if record is None:
        return waiting(planned, "not asked for yet")
    reason = "it is being captured" if record.accepted else "about to be asked for"
    known = {"capture_id": record.capture_id, "submitted": _submitted(record)}
    part = waiting(planned, reason).model_copy(update=known)
    if record.ended is None:
        return part
    if not record.ended.entry:
        return missing(part, record.ended.reason)
    part = part.model_copy(update={"state": "archived", "entry": record.ended.entry, "reason": ""})
    try:
        totals = read_entry(store, part.entry).manifest.totals
    except (EntryMissing, Damaged):
        return part
    return part.model_copy(update={"packets": totals.packets, "bytes": totals.size})


def _submitted(record: JournalRecord) -> datetime | None:
    """When the API accepted the capture, as it said itself; None if that is not known."""
    told = record.accepted.capture.get("submitted") if record.accepted else None
    try:
        moment = datetime.fromisoformat(str(told))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
