"""The report of one entry: a page that says what it looks like, then shows why."""

from __future__ import annotations

from collections.abc import Iterator

from edgecap.archive.entries import Entry
from edgecap.archive.manifest import Manifest
from edgecap.archive.summaries import NO_SUMMARY
from edgecap.packets.summary import Summary
from edgecap.report.charts.timeline import NARROW
from edgecap.report.links import NOWHERE, Links
from edgecap.report.rates import counts_samples, samples_note
from edgecap.report.rendering import render
from edgecap.report.words import (
    asked_for,
    coverage,
    covered,
    fields,
    flags,
    headline,
    incident_of,
    place_chosen,
    state_in_words,
    verdict,
    verified_in_words,
    window_in_words,
    without_packets,
)
from edgecap.units import stamp

_FILES = 500  # rows; a capture of a large city has some hundred


def entry_html(entry: Entry, summary: Summary | None, *, links: Links = NOWHERE, remark: str = "") -> str:
    """The page of an entry: one file of HTML without scripts, which loads nothing.

    Args:
        entry: as `read_entry` finds it.
        summary: as `read_summary` finds it, or None if there is none.
        links: where other reports are.
        remark: what a person should know of how the page was made, such as why there is no summary.
    """
    manifest, totals = entry.manifest, entry.manifest.totals
    incident, alert = incident_of(manifest)
    first = (summary.first if summary else None) or totals.first
    last = (summary.last if summary else None) or totals.last
    return render(
        "entry.html.j2",
        entry=entry,
        summary=summary,
        said=verdict(entry, summary),
        headline=headline(manifest),
        flags=list(flags(manifest)),
        remark=remark or NO_SUMMARY,
        covers=coverage(manifest, first, last),
        links=links,
        first=first,
        last=last,
        sampled=summary is not None and counts_samples(summary),
        samples_note=samples_note(summary) if summary else "",
        asked=asked_for(manifest),
        window=window_in_words(manifest),
        covered=covered(first, last),
        state=state_in_words(manifest),
        causes=without_packets(manifest),
        chosen=place_chosen(manifest),
        incident=f"{incident[:8]} {alert}".rstrip(),
        incident_link=links.incident(incident) if incident else "",
        sections=dict(_sections(summary)),
        verified=verified_in_words,
        narrow=NARROW,
        files=manifest.files[:_FILES],
        damage={each.name: each.damage for each in summary.files} if summary else {},
        wanted=list(fields(manifest.request)),
        answered=list(fields(manifest.capture)),
        moments=list(_moments(manifest)),
    )


def _sections(summary: Summary | None) -> Iterator[tuple[str, str]]:
    """Name and title of each section that there is something for."""
    if summary:
        yield "timeline", "Timeline"
        if summary.difference:
            yield "difference", "Difference"
        if summary.packets:
            yield "talkers", "Talkers"
            yield "mix", "Traffic mix"
        if summary.flows.top:
            yield "flows", "Flows"
    yield "files", "Files"
    yield "record", "Record"


def _moments(manifest: Manifest) -> Iterator[tuple[str, str]]:
    times = manifest.times
    for name, moment in (
        ("decided", times.decided),
        ("submitted", times.submitted),
        ("final at Cloudflare", times.final),
        ("fetched", times.fetched),
        ("kept", times.committed),
    ):
        if moment:
            yield name, stamp(moment)
    if run := (manifest.intent or {}).get("run"):
        yield "run", str(run)
