"""What reports are made of, from an archive: what cannot be read is said, and stops none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgecap.alerts.policy import Planned
from edgecap.archive.entries import Entry, read_entry
from edgecap.archive.text import read_json
from edgecap.errors import Damaged, EntryMissing, ObjectMissing
from edgecap.incidents.overview import Overview, Overviews
from edgecap.incidents.record import Part
from edgecap.packets.summary import Summary
from edgecap.report.words import NO_SUMMARY
from edgecap.stores.base import Store

ROLE = "summary"


@dataclass(frozen=True, slots=True)
class Pictured:
    """One capture of an incident, as far as it is known.

    Attributes:
        part: what became of it.
        planned: what was asked for; None if the plan is not known here.
        entry: what was archived.
        summary: what its packets come to.
        remark: why there is no summary, though there is an entry; or why there is no entry.
    """

    part: Part
    planned: Planned | None = None
    entry: Entry | None = None
    summary: Summary | None = None
    remark: str = ""


def read_summary(store: Store, entry: Entry) -> Summary | None:
    """The summary of an entry; None if it has none, or one that cannot be read.

    Raises:
        StoreError: the store does not answer, or does not let us.
    """
    return find_summary(store, entry)[0]


def find_summary(store: Store, entry: Entry) -> tuple[Summary | None, str]:
    """The summary of an entry, and if there is none, why.

    Raises:
        StoreError: the store does not answer, or does not let us.
    """
    name = next((file.name for file in entry.manifest.files if file.role == ROLE), "")
    if not name:
        return None, NO_SUMMARY
    try:
        return read_json(store, entry.prefix + name, Summary), ""
    except ObjectMissing:
        return None, f"The summary, {name}, is missing from the archive. What follows is from the manifest."
    except Damaged as error:
        return None, f"The summary cannot be read ({error.what}). What follows is from the manifest."


def pictured(store: Store, overviews: Overviews, incident: Overview) -> Iterator[Pictured]:
    """Each capture of an incident with all that is known of it, in the order of its plan.

    Raises:
        StoreError: the archive does not answer, or does not let us.
    """
    plans = _plans(incident)
    for part in overviews.parts(incident):
        planned = plans.get((part.phase, part.number))
        if not part.entry:
            yield Pictured(part, planned)
            continue
        try:
            entry = read_entry(store, part.entry)
        except EntryMissing:
            yield Pictured(part, planned, remark="its entry is no longer in the archive")
            continue
        except Damaged as error:
            yield Pictured(part, planned, remark=f"its manifest cannot be read: {error.what}")
            continue
        summary, remark = find_summary(store, entry)
        yield Pictured(part, planned, entry, summary, remark)


def _plans(incident: Overview) -> dict[tuple[str, int], Planned]:
    plans = [noted.plan for noted in (incident.opened, incident.ended) if noted]
    if incident.opened is None and incident.booked:
        plans.append(incident.booked.plan)
    return {(each.phase, each.number): each for plan in plans for each in plan.captures}
