"""Reads from an archive what a report shows. A part that cannot be read is named and stops no report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from edgecap.alerts.policy.decision import Planned
from edgecap.archive.baseline import usual_of
from edgecap.archive.entries import Entry, read_entry
from edgecap.archive.summaries import find_summary
from edgecap.errors import Damaged, EntryMissing
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.overview import Overview, Overviews
from edgecap.incidents.record import Part
from edgecap.packets.overlap import Overlap
from edgecap.packets.summarize import judged, resampled
from edgecap.packets.summary import Summary
from edgecap.proposals.model import Proposals
from edgecap.stores.base import Store

_SHORT = 8  # characters of an id


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


def pictured(store: Store, overviews: Overviews, incident: Overview) -> list[Pictured]:
    """Each capture of an incident with all that is known of it, in the order of its plan.

    Those that were judged without a baseline are judged again, beside those from before the attack.

    Raises:
        StoreError: the archive does not answer, or does not let us.
    """
    return pictures(store, incident, overviews.parts(incident))


def pictures(store: Store, incident: Overview, parts: Iterable[Part]) -> list[Pictured]:
    """Each of these captures of an incident with all that is known of it, as `pictured` judges them.

    Raises:
        StoreError: the archive does not answer, or does not let us.
    """
    plans = planned_captures(incident)
    return beside_before([picture(store, part, plans.get((part.phase, part.number))) for part in parts])


def beside_before(captures: Sequence[Pictured]) -> list[Pictured]:
    """The captures of an incident, judged beside those from before the attack if they had no baseline.

    Samples get their sampling if a full capture shows it. A capture from before can be archived after one
    that was taken during the attack, so it may not have been there when that one was judged.
    """
    captures = [_resampled(each, captures) for each in captures]
    return [_judged(each, captures) for each in captures]


def _resampled(each: Pictured, captures: Sequence[Pictured]) -> Pictured:
    """A sampled capture with the sampling that a full one shows which was archived after it."""
    summary = each.summary
    if summary is None or not summary.sampled or summary.conditions.sampling or summary.baseline is not None:
        return each
    for one in captures:
        for found in one.summary.sampled_captures if one.summary else ():
            if found.capture == each.part.capture_id:
                full = f"full capture {one.part.capture_id[:_SHORT]}"
                common = Overlap(found.sampling, found.both, found.packets)
                return replace(each, summary=resampled(summary, found.sampling, common.words(full)))
    return each


def _judged(each: Pictured, captures: Sequence[Pictured]) -> Pictured:
    summary = each.summary
    if summary is None or summary.baseline is not None or each.part.phase == "before":
        return each
    before = [
        (one.part.capture_id, one.summary)
        for one in captures
        if one.part.phase == "before"
        and one.summary
        and one.summary.conditions.filter == summary.conditions.filter
    ]
    usual = usual_of(before, summary, "incident")
    if usual is None:
        return each
    return replace(each, summary=judged(summary, usual.baseline, usual.evidence))


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
