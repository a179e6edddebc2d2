"""The first row of an incident's picture: the packets that the edge passed and dropped over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from edgecap.analytics.dropped import Series
from edgecap.report.charts.scales import TimeScale
from edgecap.report.markup import Html, tag
from edgecap.units import clock, duration, packet_rate

KINDS = {"passed": "passed", "dropped": "dropped"}
"""The classes of the two parts of a bar, from the bottom, with their names for people."""
_BAR = 3  # pixels at least


@dataclass(frozen=True, slots=True)
class _Bar:
    begins: datetime
    ends: datetime
    passed: float  # packets a second
    dropped: float

    @property
    def packets(self) -> float:
        return self.passed + self.dropped

    @property
    def told(self) -> str:
        seconds = (self.ends - self.begins).total_seconds()
        return (
            f"{clock(self.begins)} UTC, {duration(seconds)}: {packet_rate(self.passed)} passed, "
            f"{packet_rate(self.dropped)} dropped by the edge (estimates)"
        )


def window_of(series: Series) -> tuple[datetime, datetime] | None:
    """From the first step with packets to the last; None if there are none."""
    used = [place for place, both in enumerate(zip(series.passed, series.dropped, strict=False)) if any(both)]
    if not used:
        return None
    step = timedelta(seconds=series.seconds)
    return series.start + used[0] * step, series.start + (used[-1] + 1) * step


def edge_bars(
    series: Series, scale: TimeScale, top: float, height: float, *, hover: bool
) -> tuple[list[Html], float]:
    """The bars, and the highest rate in packets a second.

    Args:
        series: packets over time.
        scale: where times are.
        top: pixel of the upper edge.
        height: pixels of the highest bar.
        hover: each bar says what it shows when a mouse rests on it.
    """
    bars = list(_bars(series, scale))
    peak = max((bar.packets for bar in bars), default=0.0)
    if not peak:
        return [], 0.0
    paths: dict[str, list[str]] = {kind: [] for kind in KINDS}
    titles = []
    for bar in bars:
        left, right = scale.x(bar.begins), scale.x(bar.ends)
        wide = max(0.6, right - left - (1 if right - left > _BAR else 0))
        floor = top + height
        for kind, rate in zip(KINDS, (bar.passed, bar.dropped), strict=True):
            tall = rate / peak * height
            floor -= tall
            if tall >= 0.05:  # noqa: PLR2004 - pixels; less is invisible
                paths[kind].append(f"M{left:.1f} {floor:.1f}h{wide:.1f}v{tall:.1f}h-{wide:.1f}z")
        if hover:
            title = tag("title", bar.told)
            titles.append(
                tag("rect", title, class_="hover", x=left, y=top, width=max(0.6, right - left), height=height)
            )
    drawn = [tag("path", class_=kind, d="".join(each)) for kind, each in paths.items() if each]
    return [*drawn, *titles], peak


def _bars(series: Series, scale: TimeScale) -> Iterator[_Bar]:
    """Steps, put together until a bar is wide enough; none where the axis leaves time out."""
    step = timedelta(seconds=series.seconds)
    begins, passed, dropped, steps = series.start, 0.0, 0.0, 0
    for place, (through, gone) in enumerate(zip(series.passed, series.dropped, strict=False)):
        ends = series.start + (place + 1) * step
        passed, dropped, steps = passed + through, dropped + gone, steps + 1
        if scale.x(ends) - scale.x(begins) < _BAR and place + 1 < len(series.passed):
            continue
        if scale.x(ends) > scale.x(begins):
            seconds = steps * series.seconds
            yield _Bar(begins, ends, passed / seconds, dropped / seconds)
        begins, passed, dropped, steps = ends, 0.0, 0.0, 0
