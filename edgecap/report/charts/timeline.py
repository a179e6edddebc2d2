"""The picture of one capture over time: packets a second by protocol, and bits a second below."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import UTC

from edgecap.packets.summary import Summary
from edgecap.report.charts.scales import TimeScale, values, whole
from edgecap.report.charts.series import KINDS, NAMES, Bar, Series, series
from edgecap.report.markup import Html, join, tag
from edgecap.report.rates import counts_samples
from edgecap.report.rates import peak as most_of
from edgecap.report.theme import COLOURS, PICTURE
from edgecap.units import bit_rate, clock, duration, packet_rate, short

BROAD, NARROW = 880, 362  # pixels: about the middle of a screen and of paper; of a phone
_LETTER = 6.6  # pixels, about, of a letter of this size
_LEFT, _RIGHT = 46, 26
_TALL, _LOW = 168, 52  # pixels of the upper and of the lower panel
_BAR = 6  # pixels of a bar at least


def timeline_chart(summary: Summary, *, width: int = BROAD, hover: bool = True) -> Html | None:
    """The picture as inline SVG, or None if there is no packet.

    Args:
        summary: of the capture.
        width: pixels.
        hover: each bar says what it shows when a mouse rests on it.
    """
    shown = series(summary.timeline, max(8, (width - _LEFT - _RIGHT) // _BAR))
    if shown is None:
        return None
    scale = whole(shown.begins, shown.ends, _LEFT, width - _RIGHT)
    peak = _peak(summary, shown)
    head, lines = _legend(shown, peak, width)
    upper = 16 * lines + 22
    lower = upper + _TALL + 24
    bottom = lower + _LOW
    height = bottom + 20
    word = "sampled packets/s" if counts_samples(summary) else "packets/s"
    marks = values(shown.packets, 5)
    parts = [
        tag("title", _told(shown, peak)),
        head,
        _panel(upper, _TALL, marks, width, word),
        *stacked(shown, scale, upper, _TALL, marks[-1]),
        _panel(lower, _LOW, values(shown.bits, 2), width, "bit/s"),
        _bits(shown, scale, lower),
        time_axis(scale, bottom, apart=_LETTER * 11),
    ]
    if hover:
        parts += hovers(shown, scale, upper, bottom - upper, sampled=counts_samples(summary))
    return picture(parts, width, height)


def picture(parts: Iterable[Html], width: float, height: float) -> Html:
    """An SVG element of this size, in pixels, that grows and shrinks with its place."""
    return tag(
        "svg", parts, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width:.0f} {height:.0f}", role="img"
    )


def as_image(chart: Html, width: int) -> str:
    """A picture as the `data:` address of an image, which carries its own style; for Markdown.

    It has its own background, because the page around it may have a colour on which its text cannot be read.
    """
    inside = chart.partition(">")[2].removesuffix("</svg>")
    height = float(chart.partition('viewBox="0 0 ')[2].partition('"')[0].split()[1])
    alone = tag(
        "svg",
        tag("style", Html(f"{COLOURS}{PICTURE}.ground{{fill:var(--bg)}}")),
        tag("rect", class_="ground", x=-12, y=-10, width=width + 24, height=height + 16),
        Html(inside),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"-12 -10 {width + 24} {height + 16:.0f}",
        width=width + 24,
        height=height + 16,
    )
    return "data:image/svg+xml;base64," + base64.b64encode(alone.encode()).decode()


def stacked(shown: Series, scale: TimeScale, top: float, height: float, axis: float) -> list[Html]:
    """The bars of a series, one path for each kind of packet.

    Args:
        shown: the bars.
        scale: where times are.
        top: pixel of the upper edge.
        height: pixels up to `axis`.
        axis: packets a second at the upper edge.
    """
    paths: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for bar in shown.bars:
        left, right = _edges(bar, scale)
        floor = top + height
        for kind, rate in zip(KINDS, bar.kinds, strict=True):
            tall = rate / axis * height
            if tall < 0.05:  # noqa: PLR2004 - pixels; invisible
                continue
            floor -= tall
            paths[kind].append(f"M{left:.1f} {floor:.1f}H{right:.1f}v{tall:.1f}H{left:.1f}z")
    return [tag("path", class_=kind, d="".join(drawn)) for kind, drawn in paths.items() if drawn]


def hovers(shown: Series, scale: TimeScale, top: float, height: float, *, sampled: bool) -> list[Html]:
    """The text of each bar for hovering."""
    found = []
    for bar in shown.bars:
        left, right = scale.x(bar.begins), scale.x(bar.ends)
        title = tag("title", bar.told(sampled=sampled))
        found.append(
            tag("rect", title, class_="hover", x=left, y=top, width=max(0.5, right - left), height=height)
        )
    return found


def time_axis(scale: TimeScale, at: float, *, apart: float) -> Html:
    """The line of times, its marks, and its breaks.

    Args:
        scale: where times are.
        at: pixel of the line.
        apart: pixels between two marks at least.
    """
    parts = [
        tag(
            "path", class_="axis", d="".join(f"M{s.left:.1f} {at:.1f}H{s.right:.1f}" for s in scale.stretches)
        )
    ]
    for tick in scale.ticks(apart):
        parts.append(tag("path", class_="axis", d=f"M{tick.at:.1f} {at:.1f}v4"))
        middle = max(tick.at, _LETTER * len(tick.label) / 2)  # the first one is not cut off at the edge
        parts.append(text(middle, at + 15, tick.label, "number", "middle"))
    return tag("g", parts)


def text(x: float, y: float, words: str, class_: str = "", anchor: str = "") -> Html:
    """A line of text."""
    return tag("text", words, x=x, y=y, class_=class_ or None, text_anchor=anchor or None)


def _edges(bar: Bar, scale: TimeScale) -> tuple[float, float]:
    left, right = scale.x(bar.begins), scale.x(bar.ends)
    return left, right - 1 if right - left > 3 else right + 0.1  # noqa: PLR2004 - pixels; no hair between thin bars


def _panel(top: float, height: float, marks: Sequence[float], width: int, word: str) -> Html:
    parts = [text(_LEFT, top - 7, word)]
    for mark in marks:
        y = top + height * (1 - mark / marks[-1])
        parts.append(
            tag("path", class_="axis" if not mark else "grid", d=f"M{_LEFT} {y:.1f}H{width - _RIGHT}")
        )
        parts.append(text(_LEFT - 6, y + 3.5, short(mark).replace(" ", ""), "number", "end"))
    return tag("g", parts)


def _bits(shown: Series, scale: TimeScale, top: float) -> Html:
    axis = values(shown.bits, 2)[-1]
    drawn = []
    for bar in shown.bars:
        left, right = _edges(bar, scale)
        tall = bar.bits / axis * _LOW
        drawn.append(f"M{left:.1f} {top + _LOW - tall:.1f}H{right:.1f}v{tall:.1f}H{left:.1f}z")
    return tag("path", class_="bits", d="".join(drawn))


def _legend(shown: Series, peak: str, width: int) -> tuple[Html, int]:
    """The legend with the peak, and its number of lines."""
    parts, x = [], float(_LEFT)
    for kind in shown.kinds:
        parts.append(tag("rect", class_=kind, x=x, y=4, width=10, height=10))
        parts.append(text(x + 15, 13, NAMES[kind], "plain"))
        x += 15 + _LETTER * len(NAMES[kind]) + 16
    fits = x + _LETTER * len(peak) < width
    parts.append(text(width - _RIGHT, 13 if fits else 29, peak, "", "end"))
    return join(parts), 1 if fits else 2


def _peak(summary: Summary, shown: Series) -> str:
    rates = summary.rates
    # The summary's own peak is the same however wide the bars are.
    if rates.peak_at is None:
        return f"highest bar {packet_rate(shown.packets)}, {bit_rate(shown.bits)}"
    when = clock(rates.peak_at, step=min(rates.peak_seconds, 1.0))
    most = f"most in {duration(rates.peak_seconds)}"
    if summary.conditions.sampling and counts_samples(
        summary
    ):  # as the bars: an estimate of all is elsewhere
        return f"{most}: {packet_rate(rates.peak_packets)} of samples at {when}"
    if summary.rates.peak_estimate:  # the axis says that these are samples; there is no room for more
        return f"{most}: {most_of(summary)[0].removesuffix(' of samples')} at {when}"
    return f"{most}: {packet_rate(rates.peak_packets)} at {when}, {bit_rate(rates.peak_bits)}"


def _told(shown: Series, peak: str) -> str:
    begins, ends = shown.begins.astimezone(UTC), shown.ends.astimezone(UTC)
    return f"Packets a second from {begins:%Y-%m-%d} {clock(begins)} to {clock(ends)} UTC; {peak}"
