"""Reads from an archive what a report shows. A part that cannot be read is named and stops no report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from edgecap.alerts.policy.decision import Planned
from edgecap.archive.entries import Entry, read_entry
from edgecap.archive.summaries import find_summary
from edgecap.errors import Damaged, EntryMissing
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.overview import Overview, Overviews
from edgecap.incidents.record import Part
from edgecap.packets.summary import Summary
from edgecap.proposals.model import Proposals
from edgecap.stores.base import Store


@dataclass(frozen=True, slots=True)
class Pictured:
    """One capture of an incident.

    Attributes:
        part: what became of it.
        planned: the capture in the plan; None if the plan is not known here.
        entry: what was archived.
        summary: of its packets.
        remark: why an entry has no summary, or why there is no entry.
    """

    part: Part
    planned: Planned | None = None
    entry: Entry | None = None
    summary: Summary | None = None
    remark: str = ""


def pictured(store: Store, overviews: Overviews, incident: Overview) -> Iterator[Pictured]:
    """Each capture of an incident with all that is known of it, in the order of its plan.

    Raises:
        StoreError: the archive does not answer, or does not let us.
    """
    yield from pictures(store, incident, overviews.parts(incident))


def pictures(store: Store, incident: Overview, parts: Iterable[Part]) -> Iterator[Pictured]:
    """Each of these captures of an incident with all that is known of it.

    Raises:
        StoreError: the archive does not answer, or does not let us.
    """
    plans = planned_captures(incident)
    for part in parts:
        yield picture(store, part, plans.get((part.phase, part.number)))


def picture(store: Store, part: Part, planned: Planned | None = None) -> Pictured:
    """One capture of an incident with all that is known of it.

    Raises:
        StoreError: the archive does not answer, or does not let us.
    """
    if not part.entry:
        return Pictured(part, planned)
    try:
        entry = read_entry(store, part.entry)
    except EntryMissing:
        return Pictured(part, planned, remark="its entry is no longer in the archive")
    except Damaged as error:
        return Pictured(part, planned, remark=f"its manifest cannot be read: {error.what}")
    summary, remark = find_summary(store, entry)
    return Pictured(part, planned, entry, summary, remark)


def proposed(store: Store, incident_id: str) -> Proposals | None:
    """The filters that were proposed for an incident; None if there are none, or their record is damaged.

    Raises:
        StoreError: the archive does not answer, or does not let us.
    """
    with suppress(Damaged):
        return Incidents(store).proposals(incident_id)
    return None


def planned_captures(incident: Overview) -> dict[tuple[str, int], Planned]:
    """The planned captures of an incident, by phase and number."""
    plans = [noted.plan for noted in (incident.opened, *incident.escalations, incident.ended) if noted]
    if incident.opened is None and incident.in_inbox:
        plans.append(incident.in_inbox.plan)
    return {(each.phase, each.number): each for plan in plans for each in plan.captures}
