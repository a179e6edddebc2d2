"""The truth about the edge's packets: every one is counted, whether a sample or a capture has it or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecap.simulator.analytics.fields import moment
from edgecap.simulator.analytics.rows import written
from edgecap.simulator.traffic import colos
from edgecap.simulator.traffic.counted import Columns, CountedTraffic, Source
from edgecap.simulator.traffic.spread import CITY_OF_SERVER
from edgecap.simulator.traffic.times import SECOND

_AT_ONCE = 10  # seconds
_Numbers = NDArray[np.int64]


class _Column:
    """What packets are told apart by: a number for each packet, and the number's meaning."""

    def __init__(
        self,
        number: Callable[[Source, Columns], _Numbers],
        meaning: Callable[[Source, int], str],
    ) -> None:
        self.number = number
        self.meaning = meaning


def _of_rule(name: str) -> _Column:
    return _Column(
        lambda _, found: found.rule.astype(np.int64),
        lambda source, number: getattr(source.rules[number - 1], name) if number else "",
    )


_COLUMNS = {
    "second": _Column(lambda _, found: found.time_ns // SECOND, lambda _, number: moment(number)),
    "colo": _Column(lambda _, found: CITY_OF_SERVER[found.server], lambda _, number: colos.CITIES[number]),
    "server": _Column(lambda _, found: found.server, lambda _, number: colos.ALL_SERVERS[number]),
    "target": _Column(
        lambda source, found: source.recipes.target[found.shape],
        lambda source, number: written(source.recipes.targets[number]),
    ),
    "outcome": _Column(
        lambda _, found: (found.rule > 0).astype(np.int64), lambda _, number: "drop" if number else "pass"
    ),
    "system": _of_rule("system"),
    "rule_id": _of_rule("id"),
    "attack_id": _Column(lambda _, found: np.zeros(len(found), np.int64), lambda source, _: source.attack_id),
}
COLUMNS = tuple(_COLUMNS)
"""What packets can be told apart by. `attack_id` names the attack of passed packets, too."""
USUAL = ("second", "colo", "target", "outcome", "system", "rule_id")


def tally(
    traffic: CountedTraffic,
    start: int,
    end: int,
    *,
    by: Sequence[str],
    targets: AbstractSet[str] = frozenset(),
) -> list[dict[str, Any]]:
    """Packets and bits of all packets with `start <= time < end`.

    Args:
        traffic: the packets.
        start: nanoseconds since 1970 UTC.
        end: nanoseconds since 1970 UTC.
        by: of `COLUMNS`; one row for each combination of their values.
        targets: only packets to these addresses; empty: all.

    Returns:
        Rows with these columns, `packets` and `bits`, in the columns' order.
    """
    packets: Counter[tuple[str, ...]] = Counter()
    bits: Counter[tuple[str, ...]] = Counter()
    for key, count, size in _parts(traffic, start, end, by, targets):
        packets[key] += count
        bits[key] += size
    return [
        {**dict(zip(by, key, strict=True)), "packets": packets[key], "bits": bits[key]}
        for key in sorted(packets)
    ]


def _parts(
    traffic: CountedTraffic, start: int, end: int, by: Sequence[str], targets: AbstractSet[str]
) -> Iterator[tuple[tuple[str, ...], int, int]]:
    for begin in range(start, end, _AT_ONCE * SECOND):
        finish = min(begin + _AT_ONCE * SECOND, end)
        for source in traffic.sources(begin, finish):
            known = enumerate(source.recipes.targets)
            wanted = [at for at, target in known if not targets or written(target) in targets]
            if not wanted:
                continue
            found = traffic.columns(source, begin, finish)
            if targets:
                found = found.where(np.isin(source.recipes.target[found.shape], wanted))
            if not len(found):
                continue
            first, of = _groups([_COLUMNS[name].number(source, found) for name in by], len(found))
            sizes = np.zeros(len(first), np.int64)
            np.add.at(sizes, of, source.recipes.bits[found.shape])
            examples = found.where(first)
            keys = [
                [
                    _COLUMNS[name].meaning(source, int(each))
                    for each in _COLUMNS[name].number(source, examples)
                ]
                for name in by
            ]
            counts = np.bincount(of, minlength=len(first))
            for at in range(len(first)):
                yield tuple(values[at] for values in keys), int(counts[at]), int(sizes[at])


def _groups(columns: Sequence[_Numbers], count: int) -> tuple[_Numbers, _Numbers]:
    """Positions of one packet of each combination of values, and each packet's combination."""
    combined = np.zeros(count, np.int64)
    for numbers in columns:
        least = int(numbers.min())
        combined = combined * (int(numbers.max()) - least + 1) + numbers - least
    _, first, of = np.unique(combined, return_index=True, return_inverse=True)
    return first, of.reshape(-1)
