"""An entry for Prefect's UI, in Markdown: the verdict, then why, then a picture, then tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from edgecap.archive.entries import Entry
from edgecap.packets.summary import Summary
from edgecap.packets.verdict.words import numbers_of
from edgecap.report.charts.timeline import as_image, timeline_chart
from edgecap.report.links import NOWHERE, Links
from edgecap.report.markup import visible
from edgecap.report.rates import average, peak
from edgecap.report.words import (
    coverage,
    covered,
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
from edgecap.units import duration, percent, plural, size

_WIDTH = 600  # pixels: about the width of an artifact in the newer UI
_FILES = 50  # rows
_SHOWN = 5  # rows of the largest
_CHANGES = 6
_SPECIAL = re.compile(r"[\\`*\[\]<>|~&$]|(?<!\w)_|_(?!\w)|^[#+-]")
_LIST = re.compile(r"^(\d+)([.)])(?=\s|$)")
# Words that a Markdown reader makes links of without being asked to. Nothing invisible keeps it from that:
# people copy these texts into commands.
_LINKING = re.compile(r"[^\s`|]*(?:://|www\.|@)[^\s`|]*", re.IGNORECASE)


def entry_markdown(entry: Entry, summary: Summary | None, *, title: str = "", links: Links = NOWHERE) -> str:
    """The page that a person reads first about a new entry.

    Args:
        entry: as `read_entry` finds it.
        summary: as `read_summary` finds it, or None if there is none.
        title: what was asked for, such as `full ORD 203.0.113.7:443`; follows from the entry if empty.
        links: where reports are; without a place, the page names the command that makes one.
    """
    manifest = entry.manifest
    lines = [
        f"# {plain(verdict(entry, summary))}",
        "",
        f"{plain(title or headline(manifest))}, {_state(entry)}",
    ]
    if covers := coverage(manifest, manifest.totals.first, manifest.totals.last):
        lines += ["", covers]
    lines += ["", *_flags(entry)]
    if causes := without_packets(manifest):
        lines += ["", "Likely causes:", "", *(f"- {plain(cause)}" for cause in causes)]
    if summary:
        lines += ["", *_vectors(summary), "", *_difference(summary)]
        if chart := timeline_chart(summary, width=_WIDTH, hover=False):
            lines += ["", f"![Packets a second over time]({as_image(chart, _WIDTH)})"]
    lines += ["", *_table(("", ""), _facts(entry, summary, links))]
    if summary and summary.packets:
        lines += ["", *_largest(summary)]
    lines += ["", *_files(entry), "", _ending(entry, links)]
    return _without_holes(lines)


def plain(words: str) -> str:
    """`words` as Markdown that shows them unchanged, also in a table. They may be foreign."""
    shown, at = [], 0
    words = visible(words)
    for link in _LINKING.finditer(words):
        shown += [_escaped(words[at : link.start()]), code(link[0])]
        at = link.end()
    shown.append(_escaped(words[at:]))
    # The number of a list is one only at the beginning of the line.
    return _LIST.sub(r"\1\\\2", "".join(shown))


def _escaped(words: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", words)


def code(words: str) -> str:
    """`words` letter by letter, also in a table."""
    return "`" + visible(words).replace("`", "'").replace("|", "\\|") + "`" if words else ""


def _state(entry: Entry) -> str:
    manifest = entry.manifest
    kept = f"{plural(manifest.totals.packets, 'packet')} in {plural(manifest.totals.files, 'file')}"
    return f"{plain(state_in_words(manifest))}: {kept}"


def _flags(entry: Entry) -> Iterator[str]:
    for flag, meaning, serious in flags(entry.manifest):
        yield f"- {'**' if serious else ''}{plain(flag)}{'**' if serious else ''}: {plain(meaning)}"


def _vectors(summary: Summary) -> Iterator[str]:
    for found in summary.vectors:
        yield f"- {found.strength}: **{plain(found.title)}**"
        yield from (f"    - {plain(line)}" for line in numbers_of(found, summary.conditions))
    if summary.baseline:
        yield f"- Compared with {plain(summary.baseline.words)}."
    yield from (f"- {plain(line)}" for line in summary.caveats)
    yield from (f"- {plain(each.line)}" for each in summary.sampled_captures)


def _difference(summary: Summary) -> Iterator[str]:
    difference = summary.difference
    if difference is None:
        return
    yield f"**Difference**: {plain(difference.verdict)}"
    yield ""
    yield from (f"- {plain(change.line)}" for change in difference.changes[:_CHANGES])


def _facts(entry: Entry, summary: Summary | None, links: Links) -> Iterator[tuple[str, str]]:
    manifest, totals = entry.manifest, entry.manifest.totals
    yield "capture", code(manifest.entry_id)
    yield "place", plain(manifest.colo or "all data centres")
    if chosen := place_chosen(manifest):
        yield "place chosen", plain(chosen)
    if asked := window_in_words(manifest):
        yield "time asked for", asked
    yield "packets from", covered(totals.first, totals.last)
    yield "on the wire", size(summary.bytes if summary else totals.bytes_on_wire)
    if summary and summary.packets > 1:
        rates = summary.rates
        yield "on average", ", ".join(average(summary))
        yield f"most in {duration(rates.peak_seconds)}", ", ".join(peak(summary))
        about = "" if summary.sources.exact and summary.destinations.exact else "about "
        yield (
            "addresses",
            (
                f"{about}{plural(summary.sources.distinct, 'source')}, "
                f"{plural(summary.destinations.distinct, 'destination')}"
            ),
        )
        yield (
            "ports",
            (f"{summary.source_ports.distinct:,} source, {summary.destination_ports.distinct:,} destination"),
        )
        yield (
            "flows",
            f"{summary.flows.distinct:,}" if summary.flows.exact else f"about {summary.flows.distinct:,}",
        )
    incident, alert = incident_of(manifest)
    if incident:
        href = links.incident(incident)
        shown = f"[{code(incident[:8])}]({href})" if href else code(incident[:8])
        yield "incident", f"{shown} {plain(alert)}".rstrip()


def _largest(summary: Summary) -> Iterator[str]:
    """The largest of everything, in one table: side by side there is no room in an artifact."""
    rows: list[tuple[str, ...]] = []
    for name, talkers in (("source", summary.sources), ("destination", summary.destinations)):
        for place, each in enumerate(talkers.top[:_SHOWN]):
            label = name if not place else ""
            rows.append(
                (
                    label,
                    code(each.address),
                    f"{each.packets:,}",
                    percent(each.share),
                    _together(size(each.bytes)),
                )
            )
    for name, ports in (
        ("source port", summary.source_ports),
        ("destination port", summary.destination_ports),
    ):
        for place, port in enumerate(ports.top[:_SHOWN]):
            label = name if not place else ""
            what = f"{port.protocol} {port.port}" + (f" {plain(port.service)}" if port.service else "")
            rows.append((label, what, f"{port.packets:,}", percent(port.share), _together(size(port.bytes))))
    for name, kinds in (("protocol", summary.protocols), ("TCP flags", summary.tcp_flags)):
        for place, kind in enumerate(kinds[:_SHOWN]):
            label = name if not place else ""
            rows.append(
                (
                    label,
                    plain(kind.name),
                    f"{kind.packets:,}",
                    percent(kind.share),
                    _together(size(kind.bytes)),
                )
            )
    yield from _table(("largest", "", ">packets", ">share", ">bytes"), rows)


def _together(words: str) -> str:
    """`words` that are not broken over lines, however narrow a column is."""
    return words.replace(" ", "\N{NO-BREAK SPACE}")


def _files(entry: Entry) -> Iterator[str]:
    files = entry.manifest.files
    yield from _table(
        ("file", ">packets", ">bytes", "verified by", "SHA-256", "flags"),
        (
            (
                code(file.name),
                "" if file.packets is None else f"{file.packets:,}",
                f"{file.size:,}",
                plain(verified_in_words(file.verified_by)),
                code(f"{file.sha256[:16]}…"),
                plain(", ".join(file.flags)),
            )
            for file in files[:_FILES]
        ),
    )
    if len(files) > _FILES:
        yield ""
        yield f"And {len(files) - _FILES:,} more, in the manifest."


def _ending(entry: Entry, links: Links) -> str:
    short = entry.manifest.entry_id[:8]
    href = links.capture(entry.manifest.entry_id)
    whole = (
        f"[The whole report]({href})" if href else f"{code(f'edgecap report {short}')} makes the whole report"
    )
    return (
        f"{whole}; {code(f'edgecap show {short}')} shows the entry in a terminal. It is kept at "
        f"{code(entry.where)}."
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(column.removeprefix(">") for column in columns) + " |"
    yield "|" + "|".join("---:" if column.startswith(">") else "---" for column in columns) + "|"
    yield from ("| " + " | ".join(row) + " |" for row in rows)


def _without_holes(lines: Iterable[str]) -> str:
    """The lines, with one empty one where there would be several."""
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip() + "\n"
