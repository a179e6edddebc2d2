"""What the edge passed and dropped of an incident's packets: in words, and as the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from edgecap.analytics.dropped import DIMENSIONS, OF_DROPPED, Dropped, Group
from edgecap.incidents.mitigation import MOST, Mitigation, found_nothing
from edgecap.incidents.overview import Overview
from edgecap.packets.verdict.intervals import Estimate
from edgecap.report.loading import Pictured
from edgecap.units import duration, percent, plural, short, stamp

GROUPS = 5  # that are told of a dimension
_LITTLE = 0.01  # a smaller share is not worth a note beside a capture
SOURCES = {"analytics": "Network Analytics", "logpush": "Logpush's rows of Network Analytics"}
"""The sources, for people."""


@dataclass(frozen=True, slots=True)
class EdgeRow:
    """A line of the table: one value of a dimension, or the total.

    Attributes:
        by: the dimension, only in its first line.
        name: the value.
        passed: packets that passed, in words.
        dropped: packets that were dropped, in words.
        interval: of the dropped ones, in words; empty if they were counted.
        share: which part of the packets was dropped, 0 to 1; None if that says nothing.
    """

    by: str
    name: str
    passed: str
    dropped: str
    interval: str
    share: float | None


def edge_sentences(dropped: Dropped) -> Iterator[str]:
    """What the edge did in a sentence or two, and from where that is known."""
    to = ", ".join(dropped.targets[:3]) + (" and others" if len(dropped.targets) > 3 else "")  # noqa: PLR2004
    if dropped.share is None:
        yield f"{SOURCES[dropped.source]} has no packets to {to} in this time."
        return
    whole = short(dropped.passed.value + dropped.dropped.value)
    if not dropped.dropped.value:
        yield f"The edge dropped none of about {whole} packets to {to}."
    else:
        part = "all" if not dropped.passed.value else f"{percent(dropped.share)} of"
        yield (
            f"The edge dropped {part} about {whole} packets to {to} before a capture could see them: "
            f"{between(dropped.dropped)} packets (95 %)."
        )
    rate = dropped.passed.times(1 / dropped.seconds) if dropped.seconds else None
    gone = dropped.dropped.times(1 / dropped.seconds) if dropped.seconds else None
    if rate and gone:
        yield (
            f"On average {between(rate)} packets/s passed, and {between(gone)} were dropped, in "
            f"{duration(dropped.seconds)}."
        )


def edge_source(dropped: Dropped) -> str:
    """From where the numbers are."""
    sampled = f", {dropped.sampling}" if dropped.sampling else ""
    return f"From {SOURCES[dropped.source]}, asked {stamp(dropped.asked)}: samples{sampled}."


def edge_rows(dropped: Dropped, *, most: int = GROUPS) -> Iterator[EdgeRow]:
    """The lines of the table: all packets, then by dimension."""
    yield _row("all packets", "", Group(name="", passed=dropped.passed, dropped=dropped.dropped))
    for grouping in dropped.groupings:
        by = DIMENSIONS[grouping.by]
        for place, group in enumerate(grouping.groups[:most]):
            row = _row(by if not place else "", group.words, group)
            # What passed has no rule or system, so there is nothing to compare with.
            yield replace(row, passed="-", share=None) if grouping.by in OF_DROPPED else row


def _row(by: str, name: str, group: Group) -> EdgeRow:
    whole = group.passed.value + group.dropped.value
    interval = "" if group.dropped.exact or not group.dropped.value else between(group.dropped)
    return EdgeRow(
        by=by,
        name=name,
        passed=short(group.passed.value),
        dropped=short(group.dropped.value),
        interval=interval,
        share=group.dropped.value / whole if whole else None,
    )


def between(estimate: Estimate) -> str:
    """Such as `11.6 M to 12.4 M`; one number if both ends look alike."""
    low, high = short(estimate.low), short(estimate.high)
    return low if low == high else f"{low} to {high}"


def edge_problems(incident: Overview) -> list[str]:
    """Why it is not known what the edge dropped, as it was asked last; empty if it is known, or not asked."""
    if not incident.drops or incident.dropped:
        return []
    return list(incident.drops[-1].problems)


def edge_note(each: Pictured) -> str:
    """What the edge did in the time of a capture; empty if that explains nothing."""
    found = each.mitigation
    if found is None or found.share < _LITTLE or each.part.state == "mitigated":
        return ""
    if is_quiet(each, found):
        return f"quiet because {found.words}"
    return found.words


def is_quiet(each: Pictured, found: Mitigation) -> bool:
    """Whether a capture has no packets, or during the attack none of one, and the edge dropped most."""
    if found.share < MOST:
        return False
    summary = each.summary
    shows_none = summary is not None and summary.strength == "nothing" and each.part.phase == "during"
    return found_nothing(each.part) or shows_none


def quiet_captures(captures: Sequence[Pictured]) -> dict[str, str]:
    """Of the captures that are quiet because the edge dropped the attack: what it did, and their names."""
    told: dict[str, list[str]] = {}
    for each in captures:
        name = f"{each.part.phase} {each.part.number}"
        if each.part.state == "mitigated":
            told.setdefault(each.part.reason, []).append(name)
        elif each.mitigation and is_quiet(each, each.mitigation):
            told.setdefault(each.mitigation.words, []).append(name)
    return {words: ", ".join(names) for words, names in told.items()}


def in_brief(dropped: Dropped | None) -> str:
    """A few words for a line of facts; empty if nothing is known."""
    if dropped is None or dropped.share is None:
        return ""
    whole = short(dropped.passed.value + dropped.dropped.value)
    return f"{percent(dropped.share)} of about {whole} packets dropped by the edge"


def packets_told(incident: Overview) -> str:
    """The file with the headers of dropped packets, in words; empty if there is none."""
    file = incident.dropped_packets
    if file is None:
        return ""
    lacks = ", ".join(list(file.lacking)[:4])
    return f"{plural(file.packets, 'header')} of dropped packets" + (
        f"; some rows do not tell: {lacks}" if lacks else ""
    )
