"""Samples of the edge's packets, passed and dropped: each packet is kept with the same chance."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import lru_cache
from ipaddress import ip_address

import numpy as np

from edgecap.simulator.analytics.rows import Row
from edgecap.simulator.traffic.conversations import LONGEST
from edgecap.simulator.traffic.counted import Columns, CountedTraffic, Source
from edgecap.simulator.traffic.spread import STEP
from edgecap.simulator.traffic.times import SECOND

_KEPT = 2_000  # samples of ten seconds of a source each: about 50 kB of the usual rate


class Sampler:
    """Draws samples from counted traffic. The same window always gives the same sample.

    Args:
        traffic: the packets.
    """

    def __init__(self, traffic: CountedTraffic) -> None:
        self._traffic = traffic
        self._sample_of = lru_cache(maxsize=_KEPT)(self._sample)

    def __repr__(self) -> str:
        return f"<Sampler of {self._traffic!r}>"

    def rows(
        self,
        start: int,
        end: int,
        *,
        one_in: int,
        stage: int = 0,
        targets: AbstractSet[str] | None = None,
        system: str = "",
    ) -> Iterator[Row]:
        """Sampled packets with `start <= time < end`, nanoseconds since 1970 UTC, in no order.

        Args:
            start: of the window.
            end: of the window.
            one_in: one of this many packets is in the sample.
            stage: samples of one stage share packets, those of two are independent of each other.
            targets: only packets to these addresses; None: to any.
            system: only packets that this system dropped; empty: all.
        """
        packed = None if targets is None else _packed(targets)
        for source in self._traffic.sources(start, end):
            wanted = None
            if packed is not None:
                wanted = [at for at, target in enumerate(source.recipes.targets) if target in packed]
                if not wanted:
                    continue
            rules = [number for number, rule in enumerate(source.rules, 1) if rule.system == system]
            if system and not rules:
                continue
            for step in range((start // SECOND - LONGEST + 1) // STEP, -(-end // (STEP * SECOND))):
                found = self._sample_of(source, step, one_in, stage)
                inside = (found.time_ns >= start) & (found.time_ns < end)
                if wanted is not None:
                    inside &= np.isin(source.recipes.target[found.shape], wanted)
                if system:
                    inside &= np.isin(found.rule, rules)
                found = found.where(inside)
                for number in range(len(found)):
                    yield Row(source, found, number, one_in)

    @staticmethod
    def _sample(source: Source, step: int, one_in: int, stage: int) -> Columns:
        return source.columns(step * STEP, (step + 1) * STEP, one_in=one_in, stage=stage)


def _packed(targets: AbstractSet[str]) -> set[bytes]:
    packed = set()
    for target in targets:
        try:
            packed.add(ip_address(target).packed)
        except ValueError:
            continue  # no packet goes there
    return packed
