"""Scales: a time axis that may leave out empty time, and round values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from edgecap.units import clock

_STEPS = (
    *(factor * 10.0**power for power in range(-6, 0) for factor in (1, 2, 5)),
    *(1, 2, 5, 10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3600 * hours for hours in (1, 2, 3, 6, 12, 24, 48, 168, 720, 8760)),
)
"""Round numbers of seconds between two marks."""

_ROUND = (1, 2, 2.5, 5, 10, 20)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: its pixel and its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time without a break, and its pixels. Times are seconds since 1970."""

    begins: float
    ends: float
    left: float
    right: float

    def x(self, moment: float) -> float:
        """The pixel of a time; a time outside is at the edge."""
        if self.ends <= self.begins:
            return self.left
        part = (moment - self.begins) / (self.ends - self.begins)
        return self.left + min(1.0, max(0.0, part)) * (self.right - self.left)


@dataclass(frozen=True, slots=True)
class Gap:
    """A time that is left out: the pixels of the break, and its seconds."""

    left: float
    right: float
    seconds: float


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Times on a line, from left to right."""

    stretches: tuple[Stretch, ...]

    def x(self, moment: datetime) -> float:
        """The pixel of a time; a time in a gap is at the gap's left edge."""
        seconds = moment.timestamp()
        found = self.stretches[0]
        for stretch in self.stretches:
            if stretch.begins <= seconds:
                found = stretch
        return found.x(seconds)

    @property
    def gaps(self) -> list[Gap]:
        """The times that are left out."""
        return [
            Gap(one.right, other.left, other.begins - one.ends) for one, other in pairwise(self.stretches)
        ]

    def ticks(self, apart: float) -> list[Tick]:
        """Marks at round times, UTC, at least this many pixels apart."""
        found: list[Tick] = []
        for stretch in self.stretches:
            for tick in _ticks(stretch, apart):
                if not found or tick.at - found[-1].at >= apart:
                    found.append(tick)
        return found


def _ticks(stretch: Stretch, apart: float) -> list[Tick]:
    length, pixels = stretch.ends - stretch.begins, stretch.right - stretch.left
    if length <= 0 or pixels <= 0:
        return [Tick(stretch.left, clock(datetime.fromtimestamp(stretch.begins, UTC)))]
    step = next((step for step in _STEPS if step / length * pixels >= apart), _STEPS[-1])
    first = math.ceil(stretch.begins / step - 1e-6)
    last = math.floor(stretch.ends / step + 1e-6)
    if last < first:  # too short for a round time
        return [Tick(stretch.left, clock(datetime.fromtimestamp(stretch.begins, UTC)))]
    return [
        Tick(stretch.x(number * step), clock(datetime.fromtimestamp(number * step, UTC), step=step))
        for number in range(first, last + 1)
    ]


def whole(begins: datetime, ends: datetime, left: float, right: float) -> TimeScale:
    """A line without a break."""
    return TimeScale((Stretch(begins.timestamp(), ends.timestamp(), left, right),))


def broken(
    spans: Iterable[tuple[datetime, datetime]],
    left: float,
    right: float,
    *,
    gap: float = 46,
    least: float = 72,
    longest_empty: float = 0.12,
) -> TimeScale:
    """A time axis that shows all of `spans` and leaves out long empty times between them.

    Args:
        spans: times to show; at least one.
        left: pixel at which the line begins.
        right: pixel at which it ends.
        gap: pixels of a break.
        least: minimum pixels of each stretch between two breaks, if there is room.
        longest_empty: longest empty time that is shown, as a share of the time in `spans`.
    """
    joined = _joined(sorted((begin.timestamp(), end.timestamp()) for begin, end in spans), 0.0)
    full = sum(end - begin for begin, end in joined)
    most = max(full * longest_empty, 1.0)
    stretches = _joined(joined, most)
    margin = max(full, 1.0) * 0.02  # so that a span's beginning at the edge is visible
    stretches = [(begin - margin, end + margin) for begin, end in stretches]
    room = right - left - gap * (len(stretches) - 1)
    least = min(least, room / len(stretches) / 2)
    seconds = sum(end - begin for begin, end in stretches)
    each = (room - least * len(stretches)) / seconds
    made, at = [], left
    for begin, end in stretches:
        width = least + (end - begin) * each
        made.append(Stretch(begin, end, at, at + width))
        at += width + gap
    return TimeScale(tuple(made))


def _joined(spans: Sequence[tuple[float, float]], apart: float) -> list[tuple[float, float]]:
    """Sorted spans; spans that are at most this many seconds apart are joined."""
    made: list[tuple[float, float]] = []
    for begin, end in spans:
        if made and begin - made[-1][1] <= apart:
            made[-1] = (made[-1][0], max(made[-1][1], end))
        else:
            made.append((begin, max(begin, end)))
    return made


def values(most: float, marks: int) -> list[float]:
    """Round values from 0 to at least `most`, evenly apart, at most `marks` above 0."""
    if most <= 0 or not math.isfinite(most):
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(most / marks))
    step = next(factor * power for factor in _ROUND if factor * power * marks >= most * (1 - 1e-9))
    return [number * step for number in range(math.ceil(most / step - 1e-9) + 1)]
