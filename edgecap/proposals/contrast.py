"""Telling the attack from usual traffic: kinds of packets that are more frequent than in the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecap.proposals.capture_source import Sample
from edgecap.proposals.table import Mask, PacketTable
from edgecap.proposals.vector import ENOUGH, Vector, aimed, kinds_of, members, targets_of

TIMES = 3.0
"""A kind of packets belongs to the attack if there are so many times as many as is usual."""
_SMALLEST = 0.05  # of all packets; less is no vector
_MOST = 5  # vectors
_QUIETEST = 0.25  # of the baseline's packets: their growth tells how much usual traffic there is
_SHORT = 1.0  # seconds; a rate over less says nothing


@dataclass(frozen=True, slots=True)
class Side:
    """The samples of the attack's captures, or of the baseline's, as one.

    Attributes:
        table: their packets.
        weights: how many packets of a capture each stands for.
        packets: of all captures.
        seconds: that they cover.
        sampled: whether all are samples, or none is; None if some are.
    """

    table: PacketTable
    weights: np.ndarray
    packets: int
    seconds: float
    sampled: bool | None

    @classmethod
    def of(cls, samples: Sequence[Sample], sampled: Sequence[bool]) -> Side:
        """These samples."""
        return cls(
            PacketTable.together([each.table for each in samples]),
            np.concatenate([np.zeros(0), *(np.full(len(each.table), 1 / each.share) for each in samples)]),
            sum(each.packets for each in samples),
            sum(each.seconds for each in samples),
            sampled[0] if len(set(sampled)) == 1 else None,
        )

    def count(self, which: Mask) -> float:
        """About how many packets a mask stands for."""
        return float(self.weights[which].sum())


def scale_of(attack: Side, baseline: Side) -> float:
    """How many packets of usual traffic are in the attack's captures for one in the baseline.

    Captures of the same type cover their time alike. Otherwise, and if there is less of the usual traffic, it
    follows from the kinds of packets that have grown least: those hold a quarter of the baseline.
    """
    if not baseline.packets:
        return 0.0
    grown = sorted(
        (attack.count(kind.filter.matches(attack.table)) / usual, usual)
        for kind, which in kinds_of(baseline.table)
        if (usual := baseline.count(which))
    )
    seen, quiet = 0.0, 0.0
    for ratio, usual in grown:
        seen, quiet = seen + usual, ratio
        if seen >= _QUIETEST * baseline.packets:
            break
    alike = attack.sampled is not None and attack.sampled == baseline.sampled
    if alike and min(attack.seconds, baseline.seconds) >= _SHORT:
        return min(attack.seconds / baseline.seconds, max(quiet, 0.0)) if quiet else 0.0
    return quiet


def large_enough(attack: Side) -> float:
    """The packets that a vector has at least."""
    return max(ENOUGH, _SMALLEST * attack.packets)


def contrast(attack: Side, baseline: Side, scale: float, known: Sequence[Vector] = ()) -> list[Vector]:
    """The kinds of packets, with their targets, that are at least `TIMES` as frequent as is usual.

    Args:
        attack: the captures of the attack.
        baseline: those of usual traffic.
        scale: as `scale_of` finds it.
        known: vectors whose packets are not looked at again.

    Returns:
        The other vectors, the largest first; each packet is in at most one.
    """
    least = large_enough(attack)
    found: list[tuple[float, Vector]] = []
    made = [
        aimed(kind, targets_of(attack.table.take(which))[0])
        for kind, which in kinds_of(attack.table)
        if attack.count(which) >= least
    ]
    vectors = [*known, *(each for each in made if all(each.filter != one.filter for one in known))]
    ours, theirs = members(vectors, attack.table), members(vectors, baseline.table)
    for vector, mine, like in list(zip(vectors, ours, theirs, strict=True))[len(known) :]:
        now, usual = attack.count(mine), scale * baseline.count(like)
        if now >= max(least, TIMES * usual):
            found.append((now - usual, vector))
    found.sort(key=lambda each: -each[0])
    return [vector for _, vector in found[:_MOST]]
