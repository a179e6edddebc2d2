"""An incident in words: what it was, its state, and which of its captures do not cover their time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from edgecap.alerts.words import target_of, what_it_is
from edgecap.incidents.overview import Overview
from edgecap.incidents.record import Part
from edgecap.report.charts.scene import Scene
from edgecap.report.loading import Pictured
from edgecap.report.words import Shortfall, covered, shortfall
from edgecap.units import clock, duration, plural, stamp

_TELLING = ("during", "before", "after")
"""The phases by how much their packets say of the attack."""

_SHORTEST = 100  # characters of a subject's verdict at most
_NEAR = timedelta(seconds=2)  # windows begin and end at whole seconds


def incident_verdict(incident: Overview, captures: Sequence[Pictured]) -> str:
    """What it was, for somebody in a hurry: as the packets of the attack show, else as the alert says.

    Packets from before or after the attack that show nothing are no verdict on it: "nothing stands out" would
    read as the all-clear.
    """
    telling = most_telling(captures)
    if telling is None or telling.summary is None or not telling.summary.verdict:
        return _as_alerted(incident)
    summary = telling.summary
    if telling.part.phase == "during":
        return summary.verdict
    if summary.vectors:
        return f"{telling.part.phase.capitalize()} the attack: {summary.verdict}"
    yet = "" if incident.record else " yet"
    return f"{_as_alerted(incident)}; there are no packets from during the attack{yet}"


def brief_verdict(incident: Overview, captures: Sequence[Pictured]) -> str:
    """The same for the subject of a message, such as `likely SYN flood on 203.0.113.7 port 443`.

    A subject is read in a list, beside others.
    """
    telling = most_telling(captures)
    alert, summary = incident.first_alert, telling.summary if telling else None
    where = target_of(alert) if alert else ""
    if telling is None or summary is None or (telling.part.phase != "during" and not summary.vectors):
        said = f"no packets from during the attack{f' on {where}' if where else ''}"
    elif summary.vectors:
        first, more = summary.vectors[0], len(summary.vectors) - 1
        before = f"{telling.part.phase} the attack " if telling.part.phase != "during" else ""
        said = f"{before}{'likely' if first.strength == 'likely' else 'possibly'} {first.title}"
        said += f" and {plural(more, 'more vector')}" if more else ""
    else:
        said = f"nothing stands out{f' at {where}' if where else ''}"
    return said if len(said) <= _SHORTEST else f"{said[: _SHORTEST - 1]}…"


def _as_alerted(incident: Overview) -> str:
    alert = incident.first_alert
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
    if mitigated := states.count("mitigated"):
        told.append(f"{mitigated} without packets because the edge dropped them")
    return f"{over} {', '.join(told).capitalize()}." if states else f"{over} No capture was planned."


def most_telling(captures: Sequence[Pictured]) -> Pictured | None:
    """The capture that says best what it was."""
    with_packets = [each for each in captures if each.summary and each.summary.packets]
    return min(with_packets, key=_silence, default=None)


def _silence(each: Pictured) -> tuple[bool, int, int]:
    likely = each.summary is not None and each.summary.strength == "likely"
    return not likely, _TELLING.index(each.part.phase), -(each.summary.packets if each.summary else 0)


def cut_short(captures: Sequence[Pictured], began: datetime | None) -> Iterator[tuple[str, str]]:
    """Each capture that ended before its time: its name, and how much it shows.

    Such as `before 1`, and `the packet limit ended it after 15 s of 4 min; nothing from 14:46:19 to the
    attack`.

    Args:
        captures: the incident's.
        began: when the attack began, aware; None if not known.
    """
    for each in captures:
        found = _shortfall(each)
        if found and found.without:
            told = f"{found.reason} after {duration(found.covered)} of {duration(found.wanted)}"
            gaps = " and ".join(
                f"from {clock(begins)} to {_until(ends, began)}" for begins, ends in found.without
            )
            yield name_of(each.part), f"{told}; nothing {gaps}"


def name_of(part: Part) -> str:
    """Such as `before 1`."""
    return f"{part.phase} {part.number}"


def packets_from(each: Pictured) -> str:
    """From when to when a capture's packets are, and how long that is; empty if it has none."""
    totals = each.entry.manifest.totals if each.entry else None
    return covered(totals.first, totals.last) if totals and totals.first else ""


def _shortfall(each: Pictured) -> Shortfall | None:
    if each.entry is None:
        return None
    totals, summary = each.entry.manifest.totals, each.summary
    first = (summary.first if summary else None) or totals.first
    last = (summary.last if summary else None) or totals.last
    return shortfall(each.entry.manifest, first, last)


def _until(moment: datetime, began: datetime | None) -> str:
    return "the attack" if began and abs(moment - began) <= _NEAR else f"{clock(moment)} UTC"
