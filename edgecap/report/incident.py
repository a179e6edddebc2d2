"""The report of an incident: what it was, how it looked before, during and after, what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from edgecap.alerts.model import Alert
from edgecap.alerts.policy.decision import Plan
from edgecap.alerts.words import what_it_is
from edgecap.incidents.overview import Overview
from edgecap.incidents.record import by_reason
from edgecap.report.charts.incident_timeline import incident_chart, shared_scales
from edgecap.report.charts.scene import Scene, alert_of, scene_of
from edgecap.report.charts.timeline import NARROW
from edgecap.report.links import NOWHERE, Links
from edgecap.report.loading import Pictured
from edgecap.report.phases import phases_of
from edgecap.report.rendering import render
from edgecap.units import bit_rate, duration, packet_rate, plural, stamp

_TELLING = ("during", "before", "after")
"""The phases by how much their packets say of the attack."""


def incident_html(incident: Overview, captures: Sequence[Pictured], *, links: Links = NOWHERE) -> str:
    """The page of an incident: one file of HTML without scripts, which loads nothing.

    Args:
        incident: what is known of it.
        captures: its captures, as `pictured` hands them out.
        links: where other reports are.
    """
    scene, alert = scene_of(incident, captures), alert_of(incident)
    telling = _most_telling(captures)
    charts = incident_chart(scene), incident_chart(scene, width=NARROW, hover=False)
    shared = shared_scales(scene)
    common = (
        incident_chart(scene, shared=True),
        incident_chart(scene, width=NARROW, hover=False, shared=True),
    )
    phases = phases_of(captures)
    plans = list(incident.plans)
    sections = {
        **({"timeline": "Timeline"} if charts[0] else {}),
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
        moments=dict(_moments(incident, alert, scene)),
        alert=incident.alert_in_words,
        alert_says=_alert_says(alert),
        actions=alert.actions if alert else {},
        closed=_clock_and_day(incident.record.closed) if incident.record else None,
        sections=sections,
        told=telling.summary if telling else None,
        charts=charts,
        common=common if shared and common[0] else None,
        common_of=", and one for ".join(shared),
        phases=phases,
        captures=sorted(captures, key=_by_phase),
        links=links,
        plans=plans,
        remarks=_remarks(incident, plans),
    )


def incident_verdict(incident: Overview, captures: Sequence[Pictured]) -> str:
    """What it was, for somebody in a hurry: as its most telling packets show, else as the alert says."""
    telling = _most_telling(captures)
    if telling and telling.summary and telling.summary.verdict:
        return telling.summary.verdict
    alert = alert_of(incident)
    if alert is None:
        return incident.alert or "An incident without a readable alert"
    where = ", ".join(alert.targets)
    port = f":{alert.target_port}" if alert.target_port and len(alert.targets) == 1 else ""
    what = what_it_is(alert)
    return f"{what}: {where}{port}" if where and where not in what else what


def status(incident: Overview, scene: Scene) -> str:
    """Its state in a sentence or two."""
    if scene.ended and scene.began and scene.ended >= scene.began:
        lasted = duration((scene.ended - scene.began).total_seconds())
        over = f"The attack ended {stamp(scene.ended)}, after {lasted}."
    elif scene.ended:
        over = f"The attack ended {stamp(scene.ended)}."
    elif incident.record:
        over = f"No end was reported; the incident was closed {stamp(incident.record.closed)}."
    else:
        over = "No end has been reported yet."
    states = [row.state for row in scene.rows]
    told = [f"{states.count('archived')} of {plural(len(states), 'capture')} archived"]
    told += [f"{states.count(state)} {state}" for state in ("pending", "missing") if state in states]
    return f"{over} {', '.join(told).capitalize()}." if states else f"{over} No capture was planned."


def _most_telling(captures: Sequence[Pictured]) -> Pictured | None:
    """The capture that says best what it was."""
    with_packets = [each for each in captures if each.summary and each.summary.packets]
    return min(with_packets, key=_silence, default=None)


def _silence(each: Pictured) -> tuple[bool, int, int]:
    likely = each.summary is not None and each.summary.strength == "likely"
    return not likely, _TELLING.index(each.part.phase), -(each.summary.packets if each.summary else 0)


def _moments(incident: Overview, alert: Alert | None, scene: Scene) -> Iterator[tuple[str, list[str]]]:
    if alert and alert.started:
        yield "attack began", _clock_and_day(alert.started)
    if alert:
        yield "alert arrived", _clock_and_day(alert.received)
    elif incident.began:
        yield "opened", _clock_and_day(incident.began)
    if scene.ended:
        yield "attack ended", _clock_and_day(scene.ended)


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
