"""The report of an incident: what it was, how it looked before, during and after, what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from edgecap.incidents.overview import Overview
from edgecap.report.charts.incident_timeline import incident_chart
from edgecap.report.charts.scene import Scene, alert_of, scene_of
from edgecap.report.charts.timeline import NARROW
from edgecap.report.entry import findings
from edgecap.report.links import NOWHERE, Links
from edgecap.report.loading import Pictured
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
    section,
    table,
)
from edgecap.report.phases import phases_section
from edgecap.units import bit_rate, duration, packet_rate, period, plural, stamp

_TELLING = ("during", "before", "after")
"""The phases by how much their packets say of the attack."""


def incident_html(incident: Overview, captures: Sequence[Pictured], *, links: Links = NOWHERE) -> str:
    """The page of an incident: one file of HTML without scripts, which loads nothing.

    Args:
        incident: what is known of it.
        captures: its captures, as `pictured` hands them out.
        links: where other reports are.
    """
    scene = scene_of(incident, captures)
    said = incident_verdict(incident, captures)
    sections = list(_sections(incident, captures, scene, links))
    telling = _most_telling(captures)
    return page(
        f"{said} - {incident.id[:8]}",
        [
            tag("p", "edgecap: incident, ", incident.state, ", ", code(incident.id), class_="kind"),
            tag("h1", said),
            tag("p", status(incident, scene)),
            _missing(captures),
            facts(_facts(incident, scene), wide=("alert", "decision")),
            contents([(name, title) for name, title, _ in sections]),
            findings(telling.summary) if telling and telling.summary else None,
            [made for _, _, made in sections],
            footer(
                "Times are UTC. What a capture shows is what its packets show, of those that were kept. "
                "A kilobyte has 1000 bytes."
            ),
        ],
    )


def incident_verdict(incident: Overview, captures: Sequence[Pictured]) -> str:
    """What it was, for somebody in a hurry: as its most telling packets show, else as the alert says."""
    telling = _most_telling(captures)
    if telling and telling.summary and telling.summary.verdict:
        return telling.summary.verdict
    alert = alert_of(incident)
    if alert is None:
        return incident.alert or "An incident of which little is known"
    where = ", ".join(alert.targets)
    port = f":{alert.target_port}" if alert.target_port and len(alert.targets) == 1 else ""
    what = alert.title or f"{alert.source} {alert.kind}"
    return f"{what}: {where}{port}" if where and where not in what else what


def status(incident: Overview, scene: Scene) -> str:
    """How far it is, in a sentence or two."""
    if scene.ended and scene.began and scene.ended >= scene.began:
        lasted = duration((scene.ended - scene.began).total_seconds())
        over = f"It is over since {stamp(scene.ended)}, after {lasted}."
    elif scene.ended:
        over = f"It is over since {stamp(scene.ended)}."
    elif incident.record:
        over = f"Nobody told its end; it was closed at {stamp(incident.record.closed)}."
    else:
        over = "No end was told yet."
    states = [row.state for row in scene.rows]
    told = [f"{states.count('archived')} of {plural(len(states), 'capture')} archived"]
    told += [f"{states.count(state)} {state}" for state in ("pending", "missing") if state in states]
    return f"{over} {', '.join(told).capitalize()}." if states else f"{over} No capture was planned."


def _most_telling(captures: Sequence[Pictured]) -> Pictured | None:
    """The capture that says best what it was."""
    with_packets = [each for each in captures if each.summary and each.summary.packets]
    return min(with_packets, key=_silence, default=None)


def _silence(each: Pictured) -> tuple[bool, int, int]:
    found = each.summary.findings if each.summary else ()
    likely = any(one.likelihood == "likely" for one in found)
    return not likely, _TELLING.index(each.part.phase), -(each.summary.packets if each.summary else 0)


def _missing(captures: Sequence[Pictured]) -> Html | None:
    lines: list[Child] = [
        [
            tag("b", f"{each.part.phase} {each.part.number} is missing", class_="alarm"),
            f": {each.part.reason}",
        ]
        for each in captures
        if each.part.state == "missing"
    ]
    return tag("ul", [tag("li", line) for line in lines], class_="flags") if lines else None


def _sections(
    incident: Overview, captures: Sequence[Pictured], scene: Scene, links: Links
) -> Iterator[tuple[str, str, Html]]:
    """Name, title and content of each."""
    broad, narrow = incident_chart(scene), incident_chart(scene, width=NARROW, hover=False)
    if broad:
        caption = (
            "Each capture has a scale of its own, up to its peak; shaded: while the attack went on. "
            "Where the line of time is broken, hours may be left out; it says how much."
        )
        yield "timeline", "Timeline", section("Timeline", figure(broad, narrow, caption), name="timeline")
    compared = phases_section(captures)
    if compared:
        yield "phases", "Before, during, after", compared
    if captures:
        yield "captures", "Captures", _captures(captures, links)
    yield "decision", "Decision", _decision(incident)


def _facts(incident: Overview, scene: Scene) -> Iterator[tuple[str, Child]]:
    alert = alert_of(incident)
    yield "alert", incident.alert or "-"
    if alert and alert.started:
        yield "attack began", _when(alert.started)
    if alert:
        yield "alert arrived", _when(alert.received)
    elif incident.began:
        yield "opened", _when(incident.began)
    if scene.ended:
        yield "attack ended", _when(scene.ended)
    if alert and (alert.pps or alert.bps):
        yield (
            "alert says",
            [
                packet_rate(alert.pps) if alert.pps else None,
                tag("br") if alert.pps and alert.bps else None,
                bit_rate(alert.bps) if alert.bps else None,
            ],
        )
    yield "rule", incident.rule or "-"
    held = incident.held_back
    if held.joined or held.repeated:
        yield "more alerts", f"{held.joined:,} joined, {held.repeated:,} repeated"
    if incident.record:
        yield "closed", _when(incident.record.closed)


def _when(moment: datetime) -> list[Child]:
    day, _, time = stamp(moment).partition(" ")
    return [time, tag("br"), day]


def _captures(captures: Sequence[Pictured], links: Links) -> Html:
    rows = [_capture(each, links) for each in sorted(captures, key=_by_phase)]
    return section(
        "Captures",
        table(
            ("!phase", "/what it shows, or why it is missing", ">packets", "-packets from", "!report"), rows
        ),
        name="captures",
    )


def _by_phase(each: Pictured) -> tuple[int, int]:
    return ("before", "during", "after").index(each.part.phase), each.part.number


def _capture(each: Pictured, links: Links) -> tuple[Child, ...]:
    part, entry = each.part, each.entry
    capture_id = entry.manifest.entry_id if entry else part.capture_id
    href = links.capture(capture_id) if entry else ""
    shows: Child = part.reason
    if each.summary:
        shows = each.summary.verdict
    elif entry or part.state == "archived":
        shows = each.remark
    name = tag("b", f"{part.state}: ", class_="alarm" if part.state == "missing" else None)
    totals = entry.manifest.totals if entry else None
    return (
        f"{part.phase} {part.number}",
        [
            None if part.state == "archived" else name,
            shows,
            tag("div", f"{part.request}; {part.why}", class_="note"),
        ],
        "-" if part.packets is None else f"{part.packets:,}",
        period(totals.first, totals.last) if totals else "-",
        tag("a", code(capture_id[:8]), href=href) if href else code(capture_id[:8]) if capture_id else "-",
    )


def _decision(incident: Overview) -> Html:
    plans = [("At the start", incident.opened.plan)] if incident.opened else []
    if incident.opened is None and incident.in_inbox:
        plans.append(("At the start", incident.in_inbox.plan))
    if incident.ended:
        plans.append(("At the end", incident.ended.plan))
    told = {remark for _, plan in plans for remark in plan.remarks}
    remarks = [each for each in (incident.record.remarks if incident.record else ()) if each not in told]
    remarks += [
        f"the {order.event} is not at Prefect yet"
        + (f", which refuses it: {order.refused}" if order.refused else "")
        for order in incident.orders
    ]
    return section(
        "How it was decided",
        [block(title, tag("pre", _lines(plan.explain()))) for title, plan in plans],
        bullets(remarks) if remarks else None,
        note(code(f"edgecap incident show {incident.id[:8]}"), " shows the same in a terminal."),
        name="decision",
    )


def _lines(words: str) -> list[Child]:
    """Lines stay lines: elsewhere, what ends one is a space."""
    return [[line, Html("\n")] for line in words.splitlines()]
