"""An incident over time: its captures, each in its window, and its events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from edgecap.alerts.model import Alert
from edgecap.analytics.dropped import Series
from edgecap.incidents.overview import Overview
from edgecap.packets.summary import Summary
from edgecap.report.charts.edge_row import window_of
from edgecap.report.loading import Pictured
from edgecap.report.rates import peak_rate
from edgecap.report.words import verdict
from edgecap.requests import SimpleRequest

_FURTHEST = timedelta(days=8)  # captures of an incident are hours apart, and look a day back
Window = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Row:
    """One capture.

    Attributes:
        name: such as `during 1`.
        place: its data centre.
        state: as its part's.
        window: the time that it shows, or was to show; None if not known.
        summary: of its packets.
        words: its verdict, or why it has none.
        peak: its highest rate, in words.
    """

    name: str
    place: str
    state: str
    window: Window | None
    summary: Summary | None
    words: str
    peak: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """An event; `edge` for the attack's start and end."""

    at: datetime
    label: str
    edge: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """An incident over time. `began` and `ended` are the attack's; None if not known.

    `edge` are the packets to the targets that the edge passed and dropped; None if not known.
    """

    rows: tuple[Row, ...]
    marks: tuple[Mark, ...]
    began: datetime | None
    ended: datetime | None
    edge: Series | None = None

    @property
    def spans(self) -> list[Window]:
        """All times to show."""
        windows = [row.window for row in self.rows if row.window]
        seen = window_of(self.edge) if self.edge else None
        return [*windows, *([seen] if seen else []), *((mark.at, mark.at) for mark in self.marks)]


def scene_of(incident: Overview, captures: Sequence[Pictured]) -> Scene:
    """An incident over time.

    Args:
        incident: what is known of it.
        captures: as `pictured` hands them out.
    """
    return Scene(
        rows=tuple(_row(each, incident) for each in sorted(captures, key=_order)),
        marks=tuple(_marks(incident, incident.first_alert)),
        began=incident.attack_began,
        ended=incident.attack_ended,
        edge=_edge(incident),
    )


def _edge(incident: Overview) -> Series | None:
    found = incident.dropped.series if incident.dropped else None
    return found if found and window_of(found) and _near(incident, found.start) else None


def _order(each: Pictured) -> tuple[int, int]:
    return ("before", "during", "after").index(each.part.phase), each.part.number


def _marks(incident: Overview, alert: Alert | None) -> Iterator[Mark]:
    if alert and alert.started:
        yield Mark(alert.started, "attack begins", edge=True)
    if alert:
        yield Mark(alert.received, "alert")
    if incident.opened:
        yield Mark(incident.opened.at, "decided")
    for each in incident.escalations:
        yield Mark(each.at, "escalated")
    ended, told = incident.attack_ended, incident.end_told
    if ended:
        yield Mark(ended, "attack ends", edge=True)
    if told and told != ended:
        yield Mark(told, "end told")


def _row(each: Pictured, incident: Overview) -> Row:
    part, entry, summary = each.part, each.entry, each.summary
    place = (
        entry.manifest.colo if entry else getattr(each.planned.request, "colo", "") if each.planned else ""
    )
    words = part.reason or part.state
    if entry:
        words = verdict(entry, summary)
    elif part.state == "archived":
        words = each.remark
    peak = ""
    if summary and summary.packets > 1:
        peak = peak_rate(summary)
    return Row(
        name=f"{part.phase} {part.number}",
        place=place or ("all" if entry or each.planned else ""),
        state=part.state,
        window=_window(each, incident),
        summary=summary,
        words=words,
        peak=peak,
    )


def _window(each: Pictured, incident: Overview) -> Window | None:
    found = list(_windows(each, incident))
    return (min(_firsts(found)), max(_lasts(found))) if found else None


def _windows(each: Pictured, incident: Overview) -> Iterator[Window]:
    totals = each.entry.manifest.totals if each.entry else None
    seen = False
    if totals and totals.first and totals.last and _near(incident, totals.first, totals.last):
        seen = True
        yield totals.first, totals.last
    if each.planned is None:
        return
    request = each.planned.request
    length = timedelta(seconds=request.time_limit)
    decided = incident.decided(each.part.phase, each.part.number)
    if isinstance(request, SimpleRequest):
        ends = request.offset_time or each.planned.not_before or decided
        if ends and ends.tzinfo:
            yield ends - length, ends
    elif not seen:  # the packets of a full capture tell better when it ran
        begins = each.part.submitted or each.planned.not_before or decided
        if begins and _near(incident, begins):
            yield begins, begins + length


def _near(incident: Overview, *moments: datetime) -> bool:
    """Whether times are plausible: a wrong clock must not make a time axis of half a century."""
    began = incident.began
    return began is None or all(abs(moment - began) <= _FURTHEST for moment in moments)


def _firsts(windows: Iterable[Window]) -> list[datetime]:
    return [first for first, _ in windows]


def _lasts(windows: Iterable[Window]) -> list[datetime]:
    return [last for _, last in windows]
