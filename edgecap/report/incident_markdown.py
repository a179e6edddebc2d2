"""An incident for people, in Markdown: the verdict first, then each capture, then why it was decided so."""

from __future__ import annotations

from collections.abc import Sequence

from edgecap.incidents.record import Incident, IncidentEvent, Part
from edgecap.incidents.status import waiting
from edgecap.report.links import NOWHERE, Links
from edgecap.report.markdown import plain
from edgecap.report.markup import visible


def incident_page(
    opened: IncidentEvent, parts: Sequence[Part], record: Incident | None = None, *, links: Links = NOWHERE
) -> str:
    """The page of an open or closed incident.

    Args:
        opened: how it began.
        parts: what became of its captures so far; empty shows the plan.
        record: the incident once it is closed.
        links: where reports are; without a place, the page names the command that makes one.
    """
    lines = [f"# {plain(opened.plan.alert)}", ""]
    if record:
        lines += [f"**{plain(str(record))}**", ""]
    shown = parts or [waiting(planned, "started") for planned in opened.plan.captures]
    if shown:
        lines += ["| phase | capture | packets | entry, or why there is none |", "|---|---|---|---|"]
        lines += [_row(part) for part in shown]
    if record and (record.held_back.repeated or record.held_back.joined):
        counts = record.held_back
        lines += ["", f"{counts.joined} other alerts joined it, {counts.repeated} were sent again."]
    lines += ["", "```", *_fenced(opened.plan.explain()), "```", "", _report(opened.incident, links)]
    return "\n".join(lines)


def _report(incident: str, links: Links) -> str:
    what = "with its captures over time, before, during and after"
    if href := links.incident(incident):
        return f"[The whole report]({href}), {what}."
    return f"`edgecap report {incident[:8]}` makes the whole report, {what}."


def _row(part: Part) -> str:
    packets = "-" if part.packets is None else f"{part.packets:,}"
    where = plain(part.entry or part.reason)
    return f"| {part.phase} {part.number} | {plain(part.request)} | {packets} | {where} |"


def _fenced(words: str) -> list[str]:
    """Lines between two fences, which no text of the alert can end."""
    return [visible(line).replace("```", "'''") for line in words.splitlines()]
