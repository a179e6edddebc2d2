"""The report of an incident: what it was, how it looked before, during and after, what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from edgecap.alerts.model import Alert
from edgecap.alerts.policy.decision import Plan
from edgecap.incidents.overview import Overview
from edgecap.incidents.record import by_reason
from edgecap.proposals.model import Proposals
from edgecap.report.charts.incident_timeline import incident_chart, shared_scales
from edgecap.report.charts.scene import Scene, scene_of
from edgecap.report.charts.timeline import NARROW
from edgecap.report.edge_words import (
    edge_note,
    edge_problems,
    edge_rows,
    edge_sentences,
    edge_source,
    packets_told,
    quiet_captures,
)
from edgecap.report.incident_words import cut_short, incident_verdict, most_telling, packets_from, status
from edgecap.report.links import NOWHERE, Links
from edgecap.report.loading import Pictured
from edgecap.report.phases import phases_of
from edgecap.report.rendering import render
from edgecap.units import bit_rate, packet_rate, stamp


def incident_html(
    incident: Overview,
    captures: Sequence[Pictured],
    *,
    links: Links = NOWHERE,
    proposals: Proposals | None = None,
) -> str:
    """The page of an incident: one file of HTML without scripts, which loads nothing.

    Args:
        incident: what is known of it.
        captures: its captures, as `pictured` hands them out.
        links: where other reports are.
        proposals: the filters that were proposed.
    """
    scene, alert = scene_of(incident, captures), incident.first_alert
    telling = most_telling(captures)
    charts = incident_chart(scene), incident_chart(scene, width=NARROW, hover=False)
    shared = shared_scales(scene)
    common = (
        incident_chart(scene, shared=True),
        incident_chart(scene, width=NARROW, hover=False, shared=True),
    )
    phases = phases_of(captures)
    plans = list(incident.plans)
    sections = {
        **({"filters": "Filters"} if proposals else {}),
        **({"timeline": "Timeline"} if charts[0] else {}),
        **({"edge": "Passed and dropped"} if incident.drops else {}),
        **({"phases": "Before, during, after"} if phases else {}),
        **({"captures": "Captures"} if captures else {}),
        "decision": "Decision",
    }
    return render(
        "incident.html.j2",
        incident=incident,
        said=incident_verdict(incident, captures),
        status=status(incident, scene),
        missing=by_reason(each.part for each in captures if each.part.state == "missing"),
        quiet=quiet_captures(captures),
        cut_short=list(cut_short(captures, scene.began)),
        edge=incident.dropped,
        edge_words=list(edge_sentences(incident.dropped)) if incident.dropped else [],
        edge_source=edge_source(incident.dropped) if incident.dropped else "",
        edge_rows=list(edge_rows(incident.dropped)) if incident.dropped else [],
        edge_problems=edge_problems(incident),
        edge_note=edge_note,
        edge_file=packets_told(incident),
        packets_from=packets_from,
        moments=dict(_moments(incident, alert, scene)),
        alert=incident.alert_in_words,
        alert_says=_alert_says(alert),
        actions=alert.actions if alert else {},
        closed=_clock_and_day(incident.record.closed) if incident.record else None,
        sections=sections,
        told=telling,
        charts=charts,
        common=common if shared and common[0] else None,
        common_of=", and one for ".join(shared),
        phases=phases,
        captures=sorted(captures, key=_by_phase),
        links=links,
        plans=plans,
        proposals=proposals,
        remarks=_remarks(incident, plans),
    )


def _moments(incident: Overview, alert: Alert | None, scene: Scene) -> Iterator[tuple[str, list[str]]]:
    if alert and alert.started:
        yield "attack began", _clock_and_day(alert.started)
    if alert:
        yield "alert arrived", _clock_and_day(alert.received)
    elif incident.began:
        yield "opened", _clock_and_day(incident.began)
    if scene.ended:
        yield "attack ended", _clock_and_day(scene.ended)
    if incident.end_told and stamp(incident.end_told) != stamp(scene.ended):
        yield "end told", _clock_and_day(incident.end_told)


def _clock_and_day(moment: datetime) -> list[str]:
    """The time of day in one line, the day in the next."""
    day, _, time = stamp(moment).partition(" ")
    return [time, day]


def _alert_says(alert: Alert | None) -> list[str]:
    """The rates of the attack, as far as the alert has any."""
    rates = [(alert.pps, packet_rate), (alert.bps, bit_rate)] if alert else []
    return [shown(rate) for rate, shown in rates if rate]


def _by_phase(each: Pictured) -> tuple[int, int]:
    return ("before", "during", "after").index(each.part.phase), each.part.number


def _remarks(incident: Overview, plans: Sequence[tuple[str, Plan, str]]) -> list[str]:
    """What the plans do not say themselves."""
    told = {remark for _, plan, _ in plans for remark in plan.remarks}
    remarks = [each for each in (incident.record.remarks if incident.record else ()) if each not in told]
    return remarks + [
        f"the {order.event} is not at Prefect yet"
        + (f", which refuses it: {order.refused}" if order.refused else "")
        for order in incident.orders
    ]
