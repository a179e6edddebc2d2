"""A capture's timeline as bars: a maximum number of them, with the rate in each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from edgecap.packets.summary import Timeline
from edgecap.units import bit_rate, clock, duration, packet_rate

KINDS: Final = ("tcp", "udp", "icmp", "other")
"""The kinds of packets, from the bottom of a bar to its top."""

NAMES: Final = {"tcp": "TCP", "udp": "UDP", "icmp": "ICMP", "other": "other"}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar. Rates are a second; `kinds` are packets a second, in the order of KINDS."""

    begins: datetime
    ends: datetime
    kinds: tuple[float, ...]
    packets: float
    bits: float

    def told(self, *, sampled: bool) -> str:
        """Its content in words."""
        seconds = (self.ends - self.begins).total_seconds()
        parts = [
            f"{NAMES[kind]} {packet_rate(rate)}" for kind, rate in zip(KINDS, self.kinds, strict=True) if rate
        ]
        mix = f" ({', '.join(parts)})" if parts else ""
        word = " of samples" if sampled else ""
        return (
            f"{clock(self.begins, step=min(seconds, 1))} UTC, {duration(seconds)}: "
            f"{packet_rate(self.packets)}{word}{mix}, {bit_rate(self.bits)}"
        )


@dataclass(frozen=True, slots=True)
class Series:
    """The bars of a timeline, by time, without a gap; there is at least one."""

    bars: tuple[Bar, ...]

    @property
    def begins(self) -> datetime:
        """When the first bar begins."""
        return self.bars[0].begins

    @property
    def ends(self) -> datetime:
        """When the last bar ends."""
        return self.bars[-1].ends

    @property
    def packets(self) -> float:
        """The highest bar's packets a second."""
        return max(bar.packets for bar in self.bars)

    @property
    def bits(self) -> float:
        """The highest bar's bits a second."""
        return max(bar.bits for bar in self.bars)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that occur."""
        return tuple(kind for place, kind in enumerate(KINDS) if any(bar.kinds[place] for bar in self.bars))


def series(timeline: Timeline, most: int) -> Series | None:
    """The bars of a timeline, or None if it is empty.

    Args:
        timeline: of a summary.
        most: bars at most; steps are put together evenly.
    """
    steps = len(timeline.packets)
    if timeline.start is None or not steps or timeline.seconds <= 0 or not any(timeline.packets):
        return None
    return Series(tuple(_bars(timeline, timeline.start, max(1, math.ceil(steps / most)))))


def _bars(timeline: Timeline, start: datetime, together: int) -> Iterator[Bar]:
    steps = len(timeline.packets)
    lists = (timeline.tcp, timeline.udp, timeline.icmp, timeline.other)
    for first in range(0, steps, together):
        last = min(first + together, steps)
        seconds = (last - first) * timeline.seconds
        kinds = tuple(_sum(counts, first, last) / seconds for counts in lists)
        packets = _sum(timeline.packets, first, last) / seconds
        yield Bar(
            begins=start + timedelta(seconds=first * timeline.seconds),
            ends=start + timedelta(seconds=last * timeline.seconds),
            # Kinds of a newer version still count in the height of the bar.
            kinds=(*kinds[:-1], max(kinds[-1], packets - sum(kinds[:-1]))),
            packets=packets,
            bits=_sum(timeline.bytes, first, last) * 8 / seconds,
        )


def _sum(counts: Sequence[int], first: int, last: int) -> int:
    return sum(counts[first:last])
