"""Counting, over all packets of the captures, what each filter would have matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgecap.proposals.capture_source import CaptureSource
from edgecap.proposals.table import UDP, Mask, PacketTable
from edgecap.proposals.traffic_filter import TrafficFilter
from edgecap.proposals.vector import Vector, members

_PORTS = 1 << 16
_CLIENTS = 1024  # the first port that clients use for themselves


@dataclass(slots=True)
class Counts:
    """What was counted for one vector and its filters.

    Attributes:
        vector: packets of the vector.
        hit: those of them that each filter matches.
        scope: packets to the vector's target that are not counted as the vector's.
        harmed: those of them that each filter matches.
        like: of a baseline: packets that look like the vector's.
        like_hit: those of them that each filter matches.
        services: of a baseline: packets to the target by the port that they go to, and by the one that they
            come from; TCP's ports, then UDP's.
        stopped: those that each filter matches.
    """

    hit: NDArray[np.int64]
    harmed: NDArray[np.int64]
    like_hit: NDArray[np.int64]
    vector: int = 0
    scope: int = 0
    like: int = 0
    services: NDArray[np.int64] = field(default_factory=lambda: np.zeros((2, 2 * _PORTS), "i8"))
    stopped: dict[int, NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def of(cls, filters: int) -> Counts:
        """Nothing yet, for so many filters."""
        return cls(np.zeros(filters, "i8"), np.zeros(filters, "i8"), np.zeros(filters, "i8"))


@dataclass(frozen=True, slots=True)
class Trial:
    """A vector and the filters that are tried on it."""

    vector: Vector
    filters: tuple[TrafficFilter, ...]


def count_attack(source: CaptureSource, trials: Sequence[Trial]) -> list[Counts]:
    """Count a capture of the attack. A packet that is of any vector is not counted as a usual one.

    Raises:
        ObjectMissing: a file is not there.
        StoreError: a file cannot be read.
    """
    counts = [Counts.of(len(each.filters)) for each in trials]
    for table in source.tables():
        ours = members([each.vector for each in trials], table)
        usual = ~np.logical_or.reduce(ours)
        for trial, member, counted in zip(trials, ours, counts, strict=True):
            scope = usual & trial.vector.scope.matches(table)
            counted.vector += int(member.sum())
            counted.scope += int(scope.sum())
            for number, each in enumerate(trial.filters):
                matched = each.matches(table)
                counted.hit[number] += int((matched & member).sum())
                counted.harmed[number] += int((matched & scope).sum())
    return counts


def count_baseline(source: CaptureSource, trials: Sequence[Trial]) -> list[Counts]:
    """Count a capture of the baseline: there, every packet is a usual one.

    Raises:
        ObjectMissing: a file is not there.
        StoreError: a file cannot be read.
    """
    counts = [Counts.of(len(each.filters)) for each in trials]
    services: dict[TrafficFilter, NDArray[np.int64]] = {}
    for table in source.tables():
        scopes: dict[TrafficFilter, Mask] = {}
        theirs = members([each.vector for each in trials], table)
        for trial, like, counted in zip(trials, theirs, counts, strict=True):
            to = trial.vector.scope
            counted.services = services.setdefault(to, counted.services)
            if to not in scopes:
                scopes[to] = to.matches(table)
                _add(counted.services, table, scopes[to])
            scope = scopes[to]
            counted.scope += int(scope.sum())
            counted.like += int(like.sum())
            for number, each in enumerate(trial.filters):
                matched = each.matches(table)
                counted.harmed[number] += int((matched & scope).sum())
                counted.like_hit[number] += int((matched & like).sum())
                if (harmed := matched & scope).any():
                    stopped = counted.stopped.setdefault(number, np.zeros_like(counted.services))
                    _add(stopped, table, harmed)
    return counts


def _add(services: NDArray[np.int64], table: PacketTable, which: Mask) -> None:
    """Count packets by the port that they go to, and by the one that they come from."""
    known = which & table.has_ports
    if not known.any():
        return
    protocol = (table.protocol[known] == UDP).astype("i8") * _PORTS
    for side, ports in enumerate((table.destination_port, table.source_port)):
        services[side] += np.bincount(protocol + ports[known], minlength=2 * _PORTS)


def stopped_services(counts: Sequence[Counts], number: int, least: int) -> list[tuple[str, int, int]]:
    """Services of which a filter would stop at least half of the packets.

    Args:
        counts: of the captures of the baseline.
        number: the filter, of those that were tried.
        least: packets; a service with fewer is left out.

    Returns:
        The service in words, the packets that are stopped, and all of them; the largest first.
    """
    hurt = [each.stopped[number] for each in counts if number in each.stopped]
    if not hurt:
        return []
    found: list[tuple[str, int, int]] = []
    for side, word in enumerate(("to", "from")):
        total = sum(each.services[side] for each in counts)
        stopped = sum(each[side] for each in hurt)
        for key in np.flatnonzero((total >= least) & (2 * stopped >= total)).tolist():
            port = key % _PORTS
            if side and port >= _CLIENTS:
                continue  # a client's port is no service
            name = f"{'UDP' if key >= _PORTS else 'TCP'} {word} port {port}"
            found.append((name, int(stopped[key]), int(total[key])))
    return sorted(found, key=lambda each: -each[1])
