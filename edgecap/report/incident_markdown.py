"""An incident for people, in Markdown: what it was, whether it is over, a picture, captures, what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edgecap.alerts.model import Alert
from edgecap.alerts.words import sender_of, target_of, what_it_is
from edgecap.incidents.overview import Overview
from edgecap.incidents.record import by_reason
from edgecap.proposals.model import Proposals
from edgecap.proposals.text import (
    HEADLINES,
    NEVER_PUSHED,
    attack_sentence,
    baseline_sentence,
    headline,
)
from edgecap.protocols import protocol_name
from edgecap.report.charts.incident_timeline import incident_chart
from edgecap.report.charts.scene import scene_of
from edgecap.report.charts.timeline import as_image
from edgecap.report.edge_words import (
    edge_note,
    edge_problems,
    edge_rows,
    edge_sentences,
    edge_source,
    packets_told,
    quiet_captures,
)
from edgecap.report.incident_words import cut_short, incident_verdict, packets_from, status
from edgecap.report.links import NOWHERE, Links
from edgecap.report.loading import Pictured
from edgecap.report.markdown import code, plain
from edgecap.report.markup import visible
from edgecap.units import bit_rate, packet_rate, percent, plural, stamp

_WIDTH = 600  # pixels: about the width of an artifact in the newer UI


def incident_page(
    incident: Overview,
    captures: Sequence[Pictured],
    *,
    links: Links = NOWHERE,
    page_of: Callable[[str], str] | None = None,
    picture: bool = True,
    proposals: Proposals | None = None,
    news: str = "",
) -> str:
    """The page of an open or closed incident.

    Args:
        incident: what is known of it.
        captures: what became of its captures so far.
        links: where reports are; without a place, the page names the command that makes one.
        page_of: the address of a page about a capture's entry, for captures whose report is not served.
        picture: with the picture of its captures over time, which is an image of a hundred kilobytes.
        proposals: the filters that were proposed.
        news: what has just happened, if the page is to begin with that.
    """
    scene, alert = scene_of(incident, captures), incident.first_alert
    title = plain(title_of(incident, captures))
    lines = [f"# {plain(news)}", "", title, ""] if news else [f"# {title}", ""]
    lines += [f"**{plain(status(incident, scene))}**", ""]
    if short := list(cut_short(captures, scene.began)):
        lines += [*(f"- {plain(f'{name}: {words}.')}" for name, words in short), ""]
    if quiet := quiet_captures(captures):
        said = (
            f"{names} {'are' if ',' in names else 'is'} quiet: {words}." for words, names in quiet.items()
        )
        lines += [*(f"- {plain(each)}" for each in said), ""]
    lines += ["| | |", "|---|---|"]
    lines += [f"| {plain(name)} | {plain(words)} |" for name, words in _facts(alert, incident)]
    if picture and _known(captures) and (chart := incident_chart(scene, width=_WIDTH, hover=False)):
        lines += ["", f"![Before, during and after the attack]({as_image(chart, _WIDTH)})"]
    if incident.drops:
        lines += ["", "## Passed and dropped", "", *_edge(incident)]
    if captures:
        # No table: the older UI breaks no line in one, so that its third column would be out of sight.
        lines += ["", "## Captures", "", *(_line(each, links, page_of) for each in captures)]
    if proposals:
        lines += ["", "## Filters", "", *_filters(proposals, incident.id)]
    lines += ["", "## What to do next", "", *(f"- {line}" for line in _next(incident, captures, links))]
    lines += ["", "## Why these captures"]
    for title, plan, words in incident.plans:
        lines += ["", f"**{plain(title)}**", ""]
        told = ((" ".join(name.split()), each) for name, each in plan.explained(words))
        lines += [f"- {plain(f'{name}: {each}' if name else each)}" for name, each in told]
    return "\n".join(lines)


def incident_headline(incident: Overview, captures: Sequence[Pictured]) -> str:
    """Its state and what it is, such as `closed, 4 of 4 captures: likely dns amplification`."""
    archived = sum(each.part.state == "archived" for each in captures)
    counts = f", {archived} of {plural(len(captures), 'capture')}" if captures else ""
    return f"{incident.state}{counts}: {title_of(incident, captures)}"


def title_of(incident: Overview, captures: Sequence[Pictured]) -> str:
    """What it was, as its packets show; as long as none tell, as the alert says."""
    if _known(captures):
        return incident_verdict(incident, captures)
    alert = incident.first_alert
    if alert is None:
        return incident.alert
    target, title = target_of(alert), what_it_is(alert)
    return f"{title}: {target}" if target and target not in title else title


def _known(captures: Sequence[Pictured]) -> bool:
    return any(each.summary and each.summary.packets for each in captures)


def _facts(alert: Alert | None, incident: Overview) -> Iterator[tuple[str, str]]:
    if alert and alert.targets:
        by = "" if alert.protocol is None else f", {protocol_name(alert.protocol)}"
        yield "target", f"{target_of(alert)}{by}"
    if alert and alert.started:
        yield "attack began", stamp(alert.started)
    if alert:
        sender = sender_of(alert)
        yield "alert arrived", stamp(alert.received) + (f", from {sender}" if sender else "")
    yield "attack ended", stamp(incident.attack_ended, nothing="not reported")
    if incident.end_told and stamp(incident.end_told) != stamp(incident.attack_ended):
        yield "end told", stamp(incident.end_told)
    if incident.severity:
        yield "severity", incident.severity
    rates = [(alert.pps, packet_rate), (alert.bps, bit_rate)] if alert else []
    if told := ", ".join(shown(rate) for rate, shown in rates if rate):
        yield "rate in the alert", told
    for name, value in alert.actions.items() if alert else ():
        yield f"{name}, says the alert", value
    if incident.held_back.total:
        counts = incident.held_back
        joined = plural(counts.joined, "other alert")
        again = f"{counts.repeated} {'was' if counts.repeated == 1 else 'were'} sent again"
        yield "more alerts", f"{joined} joined it, {again}"


def _line(each: Pictured, links: Links, page_of: Callable[[str], str] | None) -> str:
    part = each.part
    state = "no packets passed" if part.state == "mitigated" else part.state
    counted = state if part.packets is None else plural(part.packets, "packet")
    shows = each.summary.verdict if each.summary and each.summary.verdict else part.reason or each.remark
    if period := packets_from(each):
        shows = f"{shows} Packets from {period}."
    if note := edge_note(each):
        shows = f"{shows} {note[:1].upper()}{note[1:]}."
    what = plain(f"{part.phase} {part.number}: {part.request}")
    href = _address(each, links, page_of)
    return f"- {f'[{what}]({href})' if href else what}: {counted}. {plain(shows)}"


def _address(each: Pictured, links: Links, page_of: Callable[[str], str] | None) -> str:
    """Where a capture's report is, else its page in Prefect's UI; empty if there is neither."""
    capture_id = each.entry.manifest.entry_id if each.entry else ""
    if not capture_id:
        return ""
    return links.capture(capture_id) or (page_of(capture_id) if page_of else "")


def _next(incident: Overview, captures: Sequence[Pictured], links: Links) -> Iterator[str]:
    what = "with its captures over time, before, during and after."
    if href := links.incident(incident.id):
        yield f"[The whole report]({href}), {what}"
    else:
        command = code(f"edgecap report {incident.id[:8]} --captures")
        yield f"{command} makes the whole report, {what}"
    parts = [each.part for each in captures]
    if any(part.packets for part in parts):
        brings = code(f"edgecap get {incident.id[:8]}")
        yield f"{brings} brings the packets of all captures, one file for each."
    for reason, names in by_reason(part for part in parts if part.state == "missing").items():
        what = plain(f"{names} {'are' if ',' in names else 'is'} missing: {reason}")
        how = code("edgecap capture simple --at")
        yield f"{what}. Samples of the last 24 hours are still there: {how}."
    if not incident.record:
        yield "The incident is open: this page is written anew when a capture ends, and when it is closed."


def _filters(proposals: Proposals, incident: str) -> Iterator[str]:
    """Each filter with its proof, in the first form that can express it."""
    yield plain(headline(proposals))
    for each in proposals.proposals:
        yield from (
            "",
            f"**{plain(each.vector)}**: {plain(HEADLINES[each.grade])}: {plain(each.filter or '-')}.",
        )
        if each.grade != "proven":
            yield plain(f"{each.why[:1].upper()}{each.why[1:]}.")
        for sentence in (attack_sentence(each), baseline_sentence(each)):
            yield plain(sentence)
        yield from (plain(f"Note: {remark}.") for remark in each.remarks)
        form = next((form for form in each.forms if form.text), None)
        if form:
            yield from ("", f"{plain(form.title)}:", "", "```", *_fenced(form.text), "```")
    if proposals.best_grade != "none":
        yield from ("", f"{plain(NEVER_PUSHED)} {code(f'edgecap propose {incident[:8]}')} shows all forms.")


def _edge(incident: Overview) -> Iterator[str]:
    """What the edge passed and dropped: sentences, and a table."""
    yield from (plain(f"What the edge dropped is not known: {each}") for each in edge_problems(incident))
    dropped = incident.dropped
    if dropped is None:
        return
    yield from (plain(each) for each in edge_sentences(dropped))
    if dropped.share is not None:
        yield from ("", "| by | | passed | dropped | part dropped |", "|---|---|---|---|---|")
        for row in edge_rows(dropped, most=3):
            share = "" if row.share is None else percent(row.share)
            cells = (row.by, row.name, row.passed, row.dropped, share)
            yield f"| {' | '.join(map(plain, cells))} |"
        yield ""
    if told := packets_told(incident):
        yield f"{plain(told)}: {code(f'edgecap get {incident.id[:8]} incident.zip')} has them."
    yield plain(edge_source(dropped))
    yield from (plain(f"Not used: {each}.") for each in dropped.notes)


def _fenced(words: str) -> list[str]:
    """Lines between two fences, which no text can end."""
    return [visible(line).replace("```", "'''") for line in words.splitlines()]
