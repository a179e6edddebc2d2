"""Reads from an archive what a report shows. A part that cannot be read is named and stops no report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from edgecap.alerts.policy.decision import Planned
from edgecap.analytics.dropped import Dropped
from edgecap.archive.baseline import usual_of
from edgecap.archive.entries import Entry, read_entry
from edgecap.archive.summaries import find_summary
from edgecap.errors import Damaged, EntryMissing
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.mitigation import Mitigation, mitigation_in, planned_window
from edgecap.incidents.overview import Overview, Overviews
from edgecap.incidents.record import Part
from edgecap.incidents.scale import scaled
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
        mitigation: what the edge did in its time; None if that is not known.
    """

    part: Part
    planned: Planned | None = None
    entry: Entry | None = None
    summary: Summary | None = None
    remark: str = ""
    mitigation: Mitigation | None = None


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
    plans = incident.planned
    seen = [
        picture(store, part, plans.get((part.phase, part.number))) for part in incident.with_mitigation(parts)
    ]
    return beside_before([_beside_the_edge(each, incident) for each in seen], incident.dropped)


def _beside_the_edge(each: Pictured, incident: Overview) -> Pictured:
    """A capture with what the edge did in its time."""
    if incident.dropped is None:
        return each
    totals = each.entry.manifest.totals if each.entry else None
    window = (totals.first, totals.last) if totals and totals.first and totals.last else None
    if window is None and each.planned:
        window = planned_window(each.planned, incident.began, incident.attack_ended)
    return replace(each, mitigation=mitigation_in(incident.dropped, window) if window else None)


def beside_before(captures: Sequence[Pictured], dropped: Dropped | None = None) -> list[Pictured]:
    """The captures of an incident, judged beside those from before the attack if they had no baseline.

    Samples get their sampling if a full capture shows it, else if the totals of Network Analytics do. A
    capture from before can be archived after one that was taken during the attack, so it may not have been
    there when that one was judged.
    """
    captures = [_scaled(_resampled(each, captures), dropped) for each in captures]
    return [_judged(each, captures) for each in captures]


def _scaled(each: Pictured, dropped: Dropped | None) -> Pictured:
    """A sampled capture with the sampling that the totals of what passed tell."""
    summary = each.summary
    if summary is None or summary.baseline is not None or dropped is None:
        return each
    return replace(each, summary=scaled(summary, dropped))


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
