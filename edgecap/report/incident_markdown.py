"""An incident for people, in Markdown: what it was, whether it is over, a picture, captures, what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edgecap.alerts.model import Alert
from edgecap.alerts.words import sender_of, target_of, what_it_is
from edgecap.incidents.overview import Overview
from edgecap.incidents.record import Incident, IncidentEvent, Part, by_reason
from edgecap.incidents.status import waiting
from edgecap.protocols import protocol_name
from edgecap.report.charts.incident_timeline import incident_chart
from edgecap.report.charts.scene import alert_of, scene_of
from edgecap.report.charts.timeline import as_image
from edgecap.report.incident import incident_verdict, status
from edgecap.report.links import NOWHERE, Links
from edgecap.report.loading import Pictured
from edgecap.report.markdown import code, plain
from edgecap.report.markup import visible
from edgecap.units import bit_rate, packet_rate, plural, stamp

_WIDTH = 600  # pixels: about the width of an artifact in the newer UI


def incident_page(
    opened: IncidentEvent,
    parts: Sequence[Part],
    record: Incident | None = None,
    *,
    captures: Sequence[Pictured] = (),
    links: Links = NOWHERE,
    page_of: Callable[[str], str] | None = None,
) -> str:
    """The page of an open or closed incident.

    Args:
        opened: how it began.
        parts: what became of its captures so far; empty shows the plan.
        record: the incident once it is closed.
        captures: the same as `parts`, with their summaries.
        links: where reports are; without a place, the page names the command that makes one.
        page_of: the address of a page about a capture's entry, for captures whose report is not served.
    """
    incident = Overview(opened.incident, opened=opened, record=record)
    shown = list(parts) or [waiting(planned, "started") for planned in opened.plan.captures]
    pictured = list(captures) or [Pictured(part) for part in shown]
    scene, alert = scene_of(incident, pictured), alert_of(incident)
    known = any(each.summary and each.summary.packets for each in pictured)
    title = incident_verdict(incident, pictured) if known else _reported(alert, opened)
    lines = [f"# {plain(title)}", "", f"**{plain(status(incident, scene))}**", ""]
    lines += ["| | |", "|---|---|"]
    lines += [f"| {plain(name)} | {plain(words)} |" for name, words in _facts(alert, incident)]
    if known and (chart := incident_chart(scene, width=_WIDTH, hover=False)):
        lines += ["", f"![Before, during and after the attack]({as_image(chart, _WIDTH)})"]
    if shown:
        lines += ["", "| capture | packets | what they show, or why there are none |", "|---|---:|---|"]
        lines += [_row(each, links, page_of) for each in pictured]
    lines += ["", "## What to do next", "", *(f"- {line}" for line in _next(opened, shown, record, links))]
    lines += [
        "",
        "## Why these captures",
        "",
        "```",
        *_fenced(opened.plan.explain(opened.alert_in_words)),
        "```",
    ]
    return "\n".join(lines)


def _reported(alert: Alert | None, opened: IncidentEvent) -> str:
    """What it is, as long as no packets tell."""
    if alert is None:
        return opened.plan.alert
    target, title = target_of(alert), what_it_is(alert)
    return f"{title}: {target}" if target and target not in title else title


def _facts(alert: Alert | None, incident: Overview) -> Iterator[tuple[str, str]]:
    if alert and alert.targets:
        by = "" if alert.protocol is None else f", {protocol_name(alert.protocol)}"
        yield "target", f"{target_of(alert)}{by}"
    if alert and alert.started:
        yield "attack began", stamp(alert.started)
    if alert:
        sender = sender_of(alert)
        yield "alert arrived", stamp(alert.received) + (f", from {sender}" if sender else "")
    yield "attack ended", stamp(incident.over) if incident.over else "not reported"
    rates = [(alert.pps, packet_rate), (alert.bps, bit_rate)] if alert else []
    if told := ", ".join(shown(rate) for rate, shown in rates if rate):
        yield "rate in the alert", told
    for name, value in alert.actions.items() if alert else ():
        yield f"{name}, says the alert", value
    if incident.record and incident.record.held_back.total:
        counts = incident.record.held_back
        joined = plural(counts.joined, "other alert")
        yield "more alerts", f"{joined} joined it, {counts.repeated} were sent again"


def _row(each: Pictured, links: Links, page_of: Callable[[str], str] | None) -> str:
    part = each.part
    packets = "-" if part.packets is None else f"{part.packets:,}"
    shows = each.summary.verdict if each.summary and each.summary.verdict else part.reason or each.remark
    what = plain(f"{part.phase} {part.number}: {part.request}")
    href = _address(each, links, page_of)
    # The name itself is the link: in the older UI a fourth column would be out of sight.
    return f"| {f'[{what}]({href})' if href else what} | {packets} | {plain(shows)} |"


def _address(each: Pictured, links: Links, page_of: Callable[[str], str] | None) -> str:
    """Where a capture's report is, else its page in Prefect's UI; empty if there is neither."""
    capture_id = each.entry.manifest.entry_id if each.entry else ""
    if not capture_id:
        return ""
    return links.capture(capture_id) or (page_of(capture_id) if page_of else "")


def _next(
    opened: IncidentEvent, parts: Sequence[Part], record: Incident | None, links: Links
) -> Iterator[str]:
    what = "with its captures over time, before, during and after."
    if href := links.incident(opened.incident):
        yield f"[The whole report]({href}), {what}"
    else:
        command = code(f"edgecap report {opened.incident[:8]} --captures")
        yield f"{command} makes the whole report, {what}"
    if any(part.packets for part in parts):
        brings = code(f"edgecap get {opened.incident[:8]}")
        yield f"{brings} brings the packets of all captures, one file for each."
    for reason, names in by_reason(part for part in parts if part.state == "missing").items():
        what = plain(f"{names} {'are' if ',' in names else 'is'} missing: {reason}")
        how = code("edgecap capture simple --at")
        yield f"{what}. Samples of the last 24 hours are still there: {how}."
    if not record:
        yield "The incident is open: this page is written anew when a capture ends, and when it is closed."


def _fenced(words: str) -> list[str]:
    """Lines between two fences, which no text of the alert can end."""
    return [visible(line).replace("```", "'''") for line in words.splitlines()]
