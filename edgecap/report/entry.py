"""The report of one entry: a page that says what it looks like, then shows why."""

from __future__ import annotations

from collections.abc import Iterator

from edgecap.archive.entries import Entry
from edgecap.archive.manifest import FileRecord, Manifest
from edgecap.archive.summaries import NO_SUMMARY
from edgecap.packets.summary import Difference, Summary
from edgecap.report.charts.timeline import NARROW, timeline_chart
from edgecap.report.links import NOWHERE, Links
from edgecap.report.markup import Child, Html, tag
from edgecap.report.page import (
    block,
    bullets,
    code,
    contents,
    facts,
    figure,
    footer,
    note,
    page,
    pairs,
    section,
    table,
    two,
)
from edgecap.report.talkers import flows_section, mix_section, talkers_section
from edgecap.report.words import asked_for, fields, flags, headline, incident_of, verdict
from edgecap.units import bit_rate, duration, packet_rate, percent, period, plural, size, stamp

_FILES = 500  # rows; a capture of a large city has some hundred
_CHANGES = 12
_COMPARED = 10


def entry_html(entry: Entry, summary: Summary | None, *, links: Links = NOWHERE, remark: str = "") -> str:
    """The page of an entry: one file of HTML without scripts, which loads nothing.

    Args:
        entry: as `read_entry` finds it.
        summary: as `read_summary` finds it, or None if there is none.
        links: where other reports are.
        remark: what a person should know of how the page was made, such as why there is no summary.
    """
    manifest = entry.manifest
    said = verdict(entry, summary)
    sections = list(_sections(entry, summary))
    return page(
        f"{said} - {manifest.entry_id[:8]}",
        [
            tag("p", "edgecap: ", headline(manifest), ", ", code(manifest.entry_id), class_="kind"),
            tag("h1", said),
            _flag_list(manifest),
            note(remark or NO_SUMMARY) if summary is None else None,
            facts(
                _facts(entry, summary, links),
                wide=("packets from", "asked for", "filtered after", "incident"),
            ),
            contents([(name, title) for name, title, _ in sections]) if summary else None,
            findings(summary) if summary else None,
            [made for _, _, made in sections],
            footer(
                "Times are UTC. Counts are of the packets that were kept",
                ", which are samples" if summary and summary.sampled else "",
                "; bytes are those on the wire unless they are files'. A kilobyte has 1000 bytes. ",
                "Kept by edgecap ",
                manifest.versions.edgecap,
                f" on {stamp(manifest.times.committed)}." if manifest.times.committed else ".",
            ),
        ],
    )


def _sections(entry: Entry, summary: Summary | None) -> Iterator[tuple[str, str, Html]]:
    """Name, title and content of each."""
    if summary:
        yield "timeline", "Timeline", timeline_section(summary)
        if summary.difference:
            yield "difference", "Difference", difference_section(summary.difference)
        if summary.packets:
            yield "talkers", "Talkers", talkers_section(summary)
            yield "mix", "Traffic mix", mix_section(summary)
        if summary.flows.top:
            yield "flows", "Flows", flows_section(summary)
    yield "files", "Files", _files(entry, summary)
    yield "record", "Record", _record(entry)


def findings(summary: Summary) -> Html | None:
    """What the numbers look like, each with the numbers that say so."""
    if not summary.findings:
        return None
    return section(
        "What it looks like",
        [
            tag(
                "div",
                tag("p", f"{each.likelihood}: ", each.title),
                tag("ul", [tag("li", line) for line in each.evidence]) if each.evidence else None,
                class_="finding likely" if each.likelihood == "likely" else "finding",
            )
            for each in summary.findings
        ],
    )


def timeline_section(summary: Summary) -> Html:
    """The picture over time, in a wide and in a narrow version."""
    broad = timeline_chart(summary)
    if broad is None:
        return section("Timeline", note("There is no packet to show over time."), name="timeline")
    step = summary.timeline.seconds
    caption = [
        period(summary.first, summary.last),
        f"; counted in steps of {duration(step)}.",
        " Samples: the true rates are higher, their proportions the same." if summary.sampled else "",
    ]
    narrow = timeline_chart(summary, width=NARROW, hover=False)
    return section("Timeline", figure(broad, narrow, caption), name="timeline")


def difference_section(difference: Difference) -> Html:
    """What is not as it was in the captures before."""
    rows = [
        (
            each.line,
            _measure(each.kind, each.before),
            _measure(each.kind, each.now),
        )
        for each in difference.changes[:_CHANGES]
    ]
    compared = ", ".join(each[:8] for each in difference.captures[:_COMPARED])
    return section(
        "Difference from the captures before",
        tag("p", tag("b", difference.verdict)),
        table(("what changed", ">before", ">now"), rows) if rows else None,
        note(
            f"Compared with {plural(len(difference.captures), 'capture')} of ",
            difference.series,
            f": {compared}." if compared else ".",
        ),
        name="difference",
    )


def _measure(kind: str, value: float) -> str:
    if kind == "rate":
        return packet_rate(value)
    return size(value) if kind == "size" else percent(value)


def _flag_list(manifest: Manifest) -> Html | None:
    found = list(flags(manifest))
    if not found:
        return None
    return tag(
        "ul",
        [
            tag("li", tag("b", flag, class_="alarm" if serious else "warn"), f": {meaning}")
            for flag, meaning, serious in found
        ],
        class_="flags",
    )


def _facts(entry: Entry, summary: Summary | None, links: Links) -> Iterator[tuple[str, Child]]:
    manifest, totals = entry.manifest, entry.manifest.totals
    first, last = (summary.first, summary.last) if summary else (totals.first, totals.last)
    first, last = first or totals.first, last or totals.last
    yield "packets from", period(first, last)
    if first and last:
        yield "lasted", duration((last - first).total_seconds())
    yield (
        "packets" + (" (samples)" if summary and summary.sampled else ""),
        (f"{summary.packets if summary else totals.packets:,}"),
    )
    yield "on the wire", size(summary.bytes if summary else totals.bytes_on_wire)
    if summary and summary.packets > 1:
        rates = summary.rates
        yield "on average", [packet_rate(rates.packets), tag("br"), bit_rate(rates.bits)]
        yield (
            f"at most, for {duration(rates.peak_seconds)}",
            [
                packet_rate(rates.peak_packets),
                tag("br"),
                bit_rate(rates.peak_bits),
            ],
        )
        yield "sources", ("" if summary.sources.exact else "about ") + f"{summary.sources.distinct:,}"
        yield (
            "flows",
            f"{summary.flows.distinct:,}" if summary.flows.exact else f"about {summary.flows.distinct:,}",
        )
    yield "asked for", asked_for(manifest) or "not known: it was started elsewhere"
    if summary and summary.residual:
        kept = summary.residual
        yield "filtered after", f"{kept.expression} ({kept.kept:,} of {kept.packets:,} packets)"
    yield "state", manifest.state
    incident, alert = incident_of(manifest)
    if incident:
        href = links.incident(incident)
        words = f"{incident[:8]} {alert}".rstrip()
        yield "incident", tag("a", words, href=href) if href else words


def _files(entry: Entry, summary: Summary | None) -> Html:
    files = entry.manifest.files
    damage = {each.name: each.damage for each in summary.files if each.damage} if summary else {}
    rows = [_file(file, damage.get(file.name, "")) for file in files[:_FILES]]
    left = len(files) - len(rows)
    return section(
        "Files",
        table(("/file and SHA-256", ">packets", ">bytes", "-verified by", "flags"), rows),
        note(f"And {left:,} more, in the manifest.") if left > 0 else None,
        note(
            "They lie in ",
            code(entry.where),
            "; ",
            code(f"edgecap verify {entry.manifest.entry_id[:8]}"),
            " holds every byte against these hashes.",
        ),
        name="files",
    )


def _file(file: FileRecord, damage: str) -> tuple[Child, ...]:
    told = file.damage or damage
    if told and file.damage_offset is not None:
        told += f", from byte {file.damage_offset:,} on"
    marks: list[Child] = [tag("span", ", ".join(file.flags), class_="alarm")] if file.flags else []
    if told:
        marks.append(f"{': ' if marks else ''}{told}")
    return (
        [tag("span", file.name, class_="mono"), tag("span", file.sha256, class_="mono hash")],
        "" if file.packets is None else f"{file.packets:,}",
        f"{file.size:,}",
        file.verified_by,
        marks or None,
    )


def _record(entry: Entry) -> Html:
    manifest = entry.manifest
    times = manifest.times
    told = [
        (name, stamp(moment))
        for name, moment in (
            ("decided", times.decided),
            ("submitted", times.submitted),
            ("final at Cloudflare", times.final),
            ("fetched", times.fetched),
            ("kept", times.committed),
        )
        if moment
    ]
    if run := (manifest.intent or {}).get("run"):
        told.append(("run", str(run)))
    asked = list(fields(manifest.request))
    return section(
        "Record",
        two(
            block("What was asked for", pairs(asked) if asked else note("It was started elsewhere.")),
            block("What Cloudflare said", pairs(list(fields(manifest.capture)))),
            block("When", pairs(told)),
        ),
        bullets(
            [
                [code(f"edgecap show {manifest.entry_id[:8]}"), " shows the manifest"],
                [code(f"edgecap verify {manifest.entry_id[:8]}"), " reads every byte again"],
            ]
        ),
        name="record",
    )
