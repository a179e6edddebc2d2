"""Sums of sampled rows with their 95 % interval, by outcome, dimension and time.

A row stands for as many packets as its sample interval says, and sample intervals change with the volume. So
the interval of a sum follows from the sum of the weights and of their squares: `intervals.weighted`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecap.analytics.dropped import MOST_GROUPS, OF_DROPPED, Dimension, Group, Grouping, Series
from edgecap.analytics.rows import DROPPED, PASSED, Texts
from edgecap.packets.columns import Rows
from edgecap.packets.verdict.intervals import Estimate, weighted

STEPS = 240  # of a series at most
_STEPS_OF = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)  # seconds
_OUTCOMES = {PASSED: 0, DROPPED: 1}
_OTHER = 2
_TEXTS: dict[Dimension, str] = {
    "system": "system",
    "reason": "reason",
    "rule": "rule",
    "vector": "vector",
    "country": "country",
    "colo": "colo",
}
_MOST_NETWORKS = 1 << 17  # that are told apart


def step_of(seconds: float) -> int:
    """The length of a series' steps for a window: whole seconds, so that there are at most `STEPS`."""
    return next((each for each in _STEPS_OF if seconds / each <= STEPS), ceil(seconds / STEPS))


@dataclass(slots=True)
class _Sums:
    """By key: the weights of passed and dropped rows, and their squares."""

    weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 0)))
    squares: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 0)))

    def add(self, keys: NDArray[np.int64], outcome: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        if not len(keys):
            return
        room = max(len(self), int(keys.max()) + 1)
        places = outcome * room + keys
        self.weights = _grown(self.weights, np.bincount(places, weights, 2 * room))
        self.squares = _grown(self.squares, np.bincount(places, weights**2, 2 * room))

    def __len__(self) -> int:
        return int(self.weights.shape[1])


def _grown(before: NDArray[np.float64], more: NDArray[Any]) -> NDArray[np.float64]:
    summed = more.reshape(2, -1)
    summed[:, : before.shape[1]] += before
    return summed


class RowSums:
    """Adds up rows.

    Args:
        texts: of the rows.
        since: where the series begins, aware.
        until: where it ends.

    Attributes:
        rows: that were added.
        unweighted: rows without a sample interval; each counts as one packet.
    """

    def __init__(self, texts: Texts, since: datetime, until: datetime) -> None:
        self.rows = 0
        self.unweighted = 0
        self._texts = texts
        self._seconds = step_of((until - since).total_seconds())
        self._start = int(since.timestamp()) // self._seconds * self._seconds
        self._steps = max(1, ceil((until.timestamp() - self._start) / self._seconds))
        self._totals = np.zeros((3, 2))  # outcomes; weights and squares
        self._bits = np.zeros(3)
        self._series = np.zeros((2, self._steps))
        self._by: dict[Dimension, _Sums] = {each: _Sums() for each in _TEXTS}
        self._networks = _Sums()
        self._network_of: dict[int, int] = {}
        self._network_names: list[tuple[int, int]] = []
        self._rule_names: dict[int, int] = {}
        self._least = self._most = 0

    def __repr__(self) -> str:
        return f"<RowSums [{self.rows} rows]>"

    @property
    def sampling(self) -> str:
        """How many packets a row stands for, in words."""
        if not self._most:
            return "the rows do not tell their sample interval" if self.rows else ""
        if self._least == self._most:
            return f"1 in {self._most:,}, as the rows say"
        return f"1 in {self._least:,} to 1 in {self._most:,}, as the rows say"

    def add(self, rows: Rows) -> None:
        """Add `RECORD`s."""
        intervals = rows["sample_interval"]
        weights = np.maximum(intervals, 1).astype("f8")
        known = intervals[intervals > 0]
        self.rows += len(rows)
        self.unweighted += len(rows) - len(known)
        if len(known):
            least, most = int(known.min()), int(known.max())
            self._least = min(self._least or least, least)
            self._most = max(self._most, most)
        outcome = np.full(len(rows), _OTHER, "i8")
        for value, place in _OUTCOMES.items():
            outcome[rows["outcome"] == value] = place
        self._totals[:, 0] += np.bincount(outcome, weights, 3)
        self._totals[:, 1] += np.bincount(outcome, weights**2, 3)
        self._bits += np.bincount(outcome, weights * rows["total_length"] * 8, 3)
        told = outcome < _OTHER
        if not told.all():
            rows, outcome, weights = rows[told], outcome[told], weights[told]
        self._add_series(rows, outcome, weights)
        for dimension, name in _TEXTS.items():
            self._by[dimension].add(rows[name].astype("i8"), outcome, weights)
        self._networks.add(self._network_keys(rows), outcome, weights)
        pairs = np.unique(rows["rule"].astype("u8") << np.uint64(32) | rows["rule_name"])
        self._rule_names |= {int(pair) >> 32: int(pair) & 0xFFFF_FFFF for pair in pairs}

    def _add_series(self, rows: Rows, outcome: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        step = (rows["time"] // 1_000_000_000 - self._start) // self._seconds
        step = np.clip(step, 0, self._steps - 1)
        self._series += np.bincount(outcome * self._steps + step, weights, 2 * self._steps).reshape(2, -1)

    def _network_keys(self, rows: Rows) -> NDArray[np.int64]:
        numbers, first, places = np.unique(rows["source_asn"], return_index=True, return_inverse=True)
        keys = []
        for number, at in zip(numbers.tolist(), first.tolist(), strict=True):
            if number not in self._network_of and len(self._network_of) < _MOST_NETWORKS:
                self._network_of[number] = len(self._network_names)
                self._network_names.append((number, int(rows["asn_name"][at])))
            keys.append(self._network_of.get(number, _MOST_NETWORKS))
        return np.array(keys, "i8")[places]

    @property
    def totals(self) -> tuple[Estimate, Estimate, Estimate]:
        """Packets that passed, that were dropped, and of which the outcome is not known."""
        passed, dropped, other = (weighted(*pair) for pair in self._totals.tolist())
        return passed, dropped, other

    @property
    def bits(self) -> tuple[float, float]:
        """Bits of IP packets that passed, and that were dropped."""
        passed, dropped, _ = self._bits.tolist()
        return passed, dropped

    @property
    def series(self) -> Series:
        """Packets over time."""
        passed, dropped = (tuple(each) for each in self._series.tolist())
        start = datetime.fromtimestamp(self._start, UTC)
        return Series(start=start, seconds=self._seconds, passed=passed, dropped=dropped)

    def groupings(self) -> Iterator[Grouping]:
        """The packets by each dimension of which the rows tell something."""
        for dimension, sums in self._by.items():
            names = {number: (self._texts[number], self._title(dimension, number)) for number in _used(sums)}
            if any(name for name, _ in names.values()):
                yield _grouping(dimension, sums, names)
        networks = {
            number: (f"AS{asn}" if asn else "", self._texts[name])
            for number, (asn, name) in enumerate(self._network_names)
        }
        networks.setdefault(_MOST_NETWORKS, ("", "other networks"))
        if any(name for name, _ in networks.values()):
            yield _grouping("network", self._networks, networks)

    def _title(self, dimension: Dimension, number: int) -> str:
        return self._texts[self._rule_names.get(number, 0)] if dimension == "rule" and number else ""


def _used(sums: _Sums) -> list[int]:
    used: list[int] = np.flatnonzero(sums.weights.sum(axis=0)).tolist()
    return used


def _grouping(dimension: Dimension, sums: _Sums, names: dict[int, tuple[str, str]]) -> Grouping:
    """Different keys with one name are put together: JSON can write one text in several ways."""
    merged: dict[str, list[float]] = {}
    titles: dict[str, str] = {}
    for key in _used(sums):
        name, title = names[key]
        column = (*sums.weights[:, key].tolist(), *sums.squares[:, key].tolist())
        before = merged.get(name, [0.0] * 4)
        merged[name] = [a + b for a, b in zip(before, column, strict=True)]
        titles[name] = titles.get(name) or title
    if dimension in OF_DROPPED:  # a packet that passed matched no rule
        merged = {name: [0.0, each[1], 0.0, each[3]] for name, each in merged.items() if each[1]}
    order = sorted(merged, key=lambda name: (-merged[name][1], -merged[name][0], name))
    groups = tuple(
        Group(
            name=name,
            title=titles[name],
            passed=weighted(merged[name][0], merged[name][2]),
            dropped=weighted(merged[name][1], merged[name][3]),
        )
        for name in order[:MOST_GROUPS]
    )
    return Grouping(by=dimension, groups=groups, more=max(0, len(order) - MOST_GROUPS))
