"""The picture of an incident: one line of time for all of its captures.

Each has a scale of its own, or shares one with those of its kind: samples of all data centres and all packets
of one data centre cannot share a scale. The time axis is broken where hours pass between captures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecap.analytics.dropped import Series as EdgeSeries
from edgecap.report.charts.edge_row import KINDS as EDGE
from edgecap.report.charts.edge_row import edge_bars
from edgecap.report.charts.scales import TimeScale, broken
from edgecap.report.charts.scene import Mark, Row, Scene, Window
from edgecap.report.charts.series import KINDS, NAMES, Series, series
from edgecap.report.charts.timeline import BROAD, hovers, picture, stacked, text, time_axis
from edgecap.report.markup import Html, tag
from edgecap.units import clock, duration, packet_rate

_LETTER = 6.2  # pixels, about
_BAR = 3  # pixels of a bar at least
_PLACE = 14  # letters
_LEVEL = 14  # pixels of a line of labels
_EDGE_LETTERS = 34  # of what stands above the edge's row on a phone
_CHART = 38  # pixels that a capture's bars may be tall


@dataclass(frozen=True, slots=True)
class _Layout:
    """Sizes in pixels. On a phone the names are above the bars, where there is room."""

    width: int
    left: float
    right: float
    above: float

    @property
    def beside(self) -> bool:
        return self.left > 50  # noqa: PLR2004 - pixels

    @property
    def row(self) -> float:
        return self.above + _CHART + 16

    def letters(self) -> int:
        return int((self.right - self.left) / _LETTER)


def shared_scales(scene: Scene) -> list[str]:
    """The kinds of captures that have a scale to share, since several have packets."""
    kinds = [row.summary.sampled for row in scene.rows if row.summary and row.summary.packets]
    return [
        words
        for sampled, words in ((True, "captures of samples"), (False, "captures of all packets"))
        if kinds.count(sampled) > 1
    ]


def incident_chart(
    scene: Scene, *, width: int = BROAD, hover: bool = True, shared: bool = False
) -> Html | None:
    """The picture as inline SVG, or None if no times are known.

    Args:
        scene: the captures and events.
        width: pixels.
        hover: each bar says what it shows when a mouse rests on it.
        shared: captures of samples have one scale, and captures of all packets another.
    """
    if not scene.spans:
        return None
    broad = width > 640  # noqa: PLR2004 - pixels; narrower is a phone
    layout = _Layout(width, 96, width - 112, 16) if broad else _Layout(width, 6, width - 28, 32)
    scale = broken(scene.spans, layout.left, layout.right, **({} if broad else {"gap": 30, "least": 40}))
    marks, levels = _labels(scene.marks, scale, layout)
    top = 22 + levels * _LEVEL
    above = layout.row if scene.edge else 0.0
    bottom = top + above + layout.row * len(scene.rows)
    parts = [tag("title", "The captures of the incident over time"), _legend(scene)]
    parts += _attack(scene, scale, top, bottom)
    bands = [_band(row, layout, top + above + place * layout.row) for place, row in enumerate(scene.rows)]
    if scene.edge and not layout.beside:
        bands.append(_Band(top, top + layout.above - 1, layout.left + _LETTER * _EDGE_LETTERS))
    parts += _lines(scene.marks, scale, top, bottom, bands)
    if scene.edge:
        parts += _edge_row(scene.edge, scale, layout, top, hover=hover)
    drawn = [_series_of(row, scale) for row in scene.rows]
    for place, (row, shown) in enumerate(zip(scene.rows, drawn, strict=True)):
        alike = [
            other
            for beside, other in zip(scene.rows, drawn, strict=True)
            if other and (beside is row or (shared and _alike(beside, row)))
        ]
        peak = max((other.packets for other in alike), default=0)
        begins = top + above + place * layout.row
        parts += _bars(row, shown, scale, begins + layout.above, peak, hover=hover)
        parts += _words(row, layout, begins)
    parts += marks
    parts += [time_axis(scale, bottom, apart=_LETTER * 11), *_gaps(scale, bottom)]
    return picture(parts, width, bottom + 20)


def _edge_row(
    series: EdgeSeries, scale: TimeScale, layout: _Layout, top: float, *, hover: bool
) -> list[Html]:
    """The packets that the edge passed and dropped."""
    floor = top + layout.above + _CHART
    drawn, peak = edge_bars(series, scale, top + layout.above, _CHART, hover=hover)
    most = f"up to {packet_rate(peak)}"
    if layout.beside:
        return [
            *drawn,
            text(0, floor - 20, "at the edge", "strong"),
            text(0, floor - 6, "all"),
            text(layout.width, floor - 20, packet_rate(peak), "number", "end"),
        ]
    return [*drawn, text(layout.left, top + 12, f"at the edge, all, {most}", "over strong")]


def _words(row: Row, layout: _Layout, top: float) -> list[Html]:
    """A capture's name, place and result."""
    floor = top + layout.above + _CHART
    words = _result(row)
    short = shortened(words, layout.letters())
    # Hovering shows the whole of a text that is cut.
    shown = [tag("title", words), short] if short != words else [short]
    class_ = "over alarm" if row.state == "missing" else "over plain"
    parts = [tag("text", shown, x=layout.left, y=top + layout.above - 5, class_=class_)]
    if layout.beside:
        parts += [
            text(0, floor - 20, row.name, "strong"),
            text(0, floor - 6, shortened(row.place, _PLACE)),
            text(layout.width, floor - 20, row.peak, "number", "end"),
        ]
    else:
        parts.append(text(layout.left, top + 12, _about(row), "over strong"))
    return parts


def _result(row: Row) -> str:
    state = "quiet" if row.state == "mitigated" else row.state
    return row.words if state == "archived" else f"{state}: {row.words}"


def _about(row: Row) -> str:
    return ", ".join(filter(None, (row.name, shortened(row.place, _PLACE), row.peak)))


@dataclass(frozen=True, slots=True)
class _Band:
    """Where a capture's texts are, in pixels: lines are not drawn through them."""

    top: float
    bottom: float
    right: float


def _band(row: Row, layout: _Layout, top: float) -> _Band:
    letters = len(shortened(_result(row), layout.letters()))
    if not layout.beside:
        letters = max(letters, len(_about(row)))
    return _Band(top, top + layout.above - 1, layout.left + _LETTER * letters)


def _alike(one: Row, other: Row) -> bool:
    """Whether both have packets of one kind: samples, or all packets."""
    return bool(one.summary and other.summary and one.summary.sampled is other.summary.sampled)


def _edges(window: Window, scale: TimeScale) -> tuple[float, float]:
    left = scale.x(window[0])
    return left, max(left + 2, scale.x(window[1]))


def _series_of(row: Row, scale: TimeScale) -> Series | None:
    """A capture's bars, as many as its window has room for; None without packets."""
    if row.window is None or row.summary is None:
        return None
    left, right = _edges(row.window, scale)
    return series(row.summary.timeline, max(4, int((right - left) / _BAR)))


def _bars(
    row: Row, shown: Series | None, scale: TimeScale, top: float, peak: float, *, hover: bool
) -> list[Html]:
    """A capture's window and its packets. A bar of `peak` packets a second is as tall as the window."""
    if row.window is None:
        return []
    begins, ends = row.window
    left, right = _edges(row.window, scale)
    shape = {"missing": "absent", "pending": "waiting", "mitigated": "waiting"}.get(row.state, "window")
    when = tag("title", f"{row.name}: {clock(begins)} to {clock(ends)} UTC")
    parts = [tag("rect", when, class_=shape, x=left, y=top, width=right - left, height=_CHART)]
    if shown and row.summary:
        parts += stacked(shown, scale, top, _CHART, peak)
        if hover:
            parts += hovers(shown, scale, top, _CHART, sampled=row.summary.sampled)
    return parts


def shortened(words: str, letters: int) -> str:
    """`words`, cut to whole words and `...` if they have more than this many letters."""
    words = " ".join(words.split())
    if len(words) <= letters:
        return words
    cut = words[: max(1, letters - 3)]
    return (cut.rpartition(" ")[0] or cut).rstrip(",;:") + "..."


def _attack(scene: Scene, scale: TimeScale, top: float, bottom: float) -> list[Html]:
    """A shaded background during the attack."""
    if scene.began is None:
        return []
    left = scale.x(scene.began)
    right = scale.x(scene.ended) if scene.ended else scale.stretches[-1].right
    if right <= left:
        return []
    return [tag("rect", class_="attack", x=left, y=top, width=right - left, height=bottom - top)]


def _lines(
    marks: Sequence[Mark], scale: TimeScale, top: float, bottom: float, bands: Sequence[_Band]
) -> list[Html]:
    return [
        tag(
            "path",
            class_="edge" if mark.edge else "mark",
            d=_line(scale.x(mark.at), top - 4, bottom, bands),
        )
        for mark in marks
    ]


def _line(x: float, top: float, bottom: float, bands: Sequence[_Band]) -> str:
    """A line from the top to the bottom, interrupted where it would cross a text."""
    drawn = f"M{x:.1f} {top:.1f}"
    for band in bands:
        if x <= band.right:
            drawn += f"V{band.top:.1f}M{x:.1f} {band.bottom:.1f}"
    return f"{drawn}V{bottom:.1f}"


def _labels(marks: Sequence[Mark], scale: TimeScale, layout: _Layout) -> tuple[list[Html], int]:
    """Labels of the lines, on enough levels that none hides another; and the number of levels."""
    ends: list[float] = []
    found = []
    for mark in sorted(marks, key=_when):
        words = f"{mark.label} {clock(mark.at)}"
        x, long = scale.x(mark.at), _LETTER * len(words)
        left = min(x, layout.width - long)
        level = next((level for level, end in enumerate(ends) if end < left - 8), len(ends))
        ends[level : level + 1] = [left + long]
        found.append((left, level, words, mark.edge))
    levels = len(ends)
    top = 22 + levels * _LEVEL
    # The first label is on top, so that no line crosses another label.
    return [
        text(left, top - 6 - level * _LEVEL, words, "alarm" if edge else "")
        for left, level, words, edge in found
    ], levels


def _when(mark: Mark) -> float:
    return mark.at.timestamp()


def _gaps(scale: TimeScale, at: float) -> list[Html]:
    """Where time is left out: a broken line, and how long it is."""
    parts: list[Html] = []
    for gap in scale.gaps:
        middle = (gap.left + gap.right) / 2
        parts.append(tag("path", class_="mark", d=f"M{gap.left:.1f} {at:.1f}H{gap.right:.1f}"))
        parts.append(text(middle, at - 5, duration(gap.seconds), "number", "middle"))
    return parts


def _legend(scene: Scene) -> Html:
    present = {kind for row in scene.rows if row.summary for kind in _kinds(row)}
    parts, x = [], 0.0
    for kind in KINDS:
        if kind in present:
            parts.append(tag("rect", class_=kind, x=x, y=4, width=10, height=10))
            parts.append(text(x + 15, 13, NAMES[kind], "plain"))
            x += 15 + 6.6 * len(NAMES[kind]) + 16
    for class_, name in EDGE.items() if scene.edge else ():
        parts.append(tag("rect", class_=class_, x=x, y=4, width=10, height=10))
        parts.append(text(x + 15, 13, name, "plain"))
        x += 15 + 6.0 * len(name) + 14
    return tag("g", parts)


def _kinds(row: Row) -> Sequence[str]:
    shown = series(row.summary.timeline, 50) if row.summary else None
    return shown.kinds if shown else ()
