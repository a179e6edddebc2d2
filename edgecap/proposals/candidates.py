"""The tests that a filter may be made of: what most packets of a vector have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import collapse_addresses
from typing import Any, Final

import numpy as np

from edgecap.packets.names import ACK, FIN, PSH, RST, SYN, URG
from edgecap.proposals.table import LATER, TCP, V4, Mask, PacketTable
from edgecap.proposals.traffic_filter import (
    LARGEST,
    Field,
    Flags,
    Fragments,
    Network,
    Networks,
    Test,
    Values,
    field_of,
    network_of,
)

LEAST = 0.8
"""The part of a vector's packets that a test must leave; a filter with less is no use."""
_COVERAGES = (0.8, 0.9, 0.95, 0.99, 1.0)
_MOST_VALUES = 16  # of a set
_MOST_PAYLOADS = 4
_RARE = 0.002  # of a vector's packets: a value is left out of sets
_PENALTIES = (0.5, 2.0, 10.0)  # of usual traffic in an interval, for a search with different tastes
_KNOWN = 500  # usual packets; with fewer, nothing is known about values that a vector does not have
_BITS = {Field.PAYLOAD: 16.0, Field.WINDOW: 8.0, Field.LENGTH: 10.5, Field.TTL: 6.0, Field.ICMP_TYPE: 5.0}
_SOURCE_BITS = 16.0
_FLAG_BITS = 0.7  # for each flag that is looked at
_FRAGMENT_BITS = 6.0
_ALL_FLAGS = FIN | SYN | RST | PSH | ACK | URG
_MASKS = (FIN | SYN | RST | ACK, _ALL_FLAGS, SYN | ACK, SYN, ACK, RST)
_INTERVALS: Final = (
    Field.SOURCE_PORT,
    Field.DESTINATION_PORT,
    Field.LENGTH,
    Field.TTL,
)
_SETS: Final = (*_INTERVALS, Field.ICMP_TYPE, Field.ICMP_CODE, Field.WINDOW, Field.PAYLOAD)
_PREFIXES = {4: (32, 24, 16), 6: (128, 64, 48)}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A test, and how special it is: about -log2 of the part of all packets that could pass it.

    With a baseline that has hardly any packets of a protocol, every test would seem harmless. The more
    special one is then the safer choice.
    """

    test: Test
    bits: float
    describes: bool = False  # it is part of what the vector is


def candidates(
    vector: PacketTable, usual: PacketTable, weights: np.ndarray, extra: Iterable[Test], pure: float
) -> list[Candidate]:
    """Tests that leave at least `LEAST` of a vector's packets that are of the attack.

    Args:
        vector: its packets; of one IP version and protocol.
        usual: packets of usual traffic to the same target.
        weights: what each usual packet stands for.
        extra: tests that describe the vector.
        pure: the part of its packets that is of the attack; the others are usual ones that look alike.
    """
    found: dict[Test, Candidate] = {}
    describing = tuple(extra)
    for test in (*describing, *_made(vector, usual, weights, pure)):
        if not (isinstance(test, Networks) and test.side == "destination"):
            found.setdefault(test, Candidate(test, bits_of(test), test in describing))
    return list(found.values())


def bits_of(test: Test) -> float:
    """How special a test is, in bits."""
    if isinstance(test, Networks):
        return max(0.0, _SOURCE_BITS - math.log2(len(test.networks))) * _depth(test.networks)
    if isinstance(test, Flags):
        return _FLAG_BITS * test.mask.bit_count()
    if isinstance(test, Fragments):
        return _FRAGMENT_BITS
    room = LARGEST[test.field] + 1
    most = _BITS.get(test.field, math.log2(room))
    # A set of lengths is judged by what packets have, not by what 16 bits can say.
    special = most - math.log2(test.count) if test.field in _BITS else math.log2(room / test.count)
    return min(most, max(0.0, special))


def _depth(networks: tuple[Network, ...]) -> float:
    shortest = min(networks, key=lambda each: each.prefixlen)
    return min(1.0, shortest.prefixlen / (32 if shortest.version == V4 else 64))


def _made(vector: PacketTable, usual: PacketTable, weights: np.ndarray, pure: float) -> Iterator[Test]:
    packets = len(vector) * pure  # of the attack
    least = LEAST * pure
    for field in _SETS:
        values, known = field_of(field, vector)
        if known.mean() < least:
            continue
        theirs, has = field_of(field, usual)
        yield from _value_sets(field, values[known], packets, theirs[has], weights[has])
        if field in _INTERVALS:
            yield from _intervals(field, values[known], packets, theirs[has], weights[has])
    if vector.protocol[:1] == [TCP]:
        yield from _flags(vector, packets)
    if (vector.fragment == LATER).mean() >= least:
        yield Fragments(later=True)
    elif (vector.fragment != 0).mean() >= least:
        yield Fragments(later=False)
    yield from _sources(vector, packets)


def _value_sets(
    field: Field, values: np.ndarray, packets: float, theirs: np.ndarray, weights: np.ndarray
) -> Iterator[Test]:
    """Small sets of values: the most frequent, and those most unlike usual traffic."""
    numbers, counts = np.unique(values, return_counts=True)
    often = counts >= _RARE * packets
    numbers, counts = numbers[often], counts[often]
    if not len(numbers):
        return
    usual = _weights_at(numbers, theirs, weights)
    most = _MOST_PAYLOADS if field is Field.PAYLOAD else _MOST_VALUES
    for order in (np.argsort(-counts, kind="stable"), np.argsort(-counts / (usual + 1e-9), kind="stable")):
        covered = np.cumsum(counts[order]) / packets
        for wanted in _COVERAGES:
            size = int(np.searchsorted(covered, wanted)) + 1
            if size <= min(most, len(order)) and covered[size - 1] >= LEAST:
                yield Values.of(field, map(int, numbers[order[:size]]))


def _weights_at(numbers: np.ndarray, theirs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The share of usual traffic at each of some sorted values."""
    if not len(theirs):
        return np.zeros(len(numbers))
    places = np.searchsorted(numbers, theirs)
    hit = (places < len(numbers)) & (numbers[np.minimum(places, len(numbers) - 1)] == theirs)
    found: np.ndarray = np.bincount(places[hit], weights=weights[hit] / weights.sum(), minlength=len(numbers))
    return found


def _intervals(
    field: Field, values: np.ndarray, packets: float, theirs: np.ndarray, weights: np.ndarray
) -> Iterator[Test]:
    """Intervals with much of the vector and little of usual traffic: each the largest sum of a histogram."""
    room = LARGEST[field] + 1
    ours = np.bincount(values, minlength=room) / packets
    usual = np.bincount(theirs, weights=weights, minlength=room)
    total = usual.sum()
    usual = usual / total if total else usual
    seen: set[tuple[int, int]] = set()
    for penalty in _PENALTIES:
        first, last = _best(ours - penalty * usual - 1e-12)
        # As wide as a whole share of the vector: without outliers.
        if len(theirs) >= _KNOWN:
            first, last = _widened(usual, first, last)
        if (
            (first, last) not in seen
            and (first, last) != (0, room - 1)
            and ours[first : last + 1].sum() >= LEAST
        ):
            seen.add((first, last))
            yield Values(field, ((first, last),))


def _best(gains: np.ndarray) -> tuple[int, int]:
    """The interval with the largest sum."""
    sums = np.concatenate([[0.0], np.cumsum(gains)])
    lowest = np.minimum.accumulate(sums)
    last = int(np.argmax(sums[1:] - lowest[:-1]))
    return int(np.argmin(sums[: last + 1])), last


def _widened(usual: np.ndarray, first: int, last: int) -> tuple[int, int]:
    """To the ends of the range, where usual traffic has nothing on the way."""
    return (
        0 if not usual[:first].any() else first,
        len(usual) - 1 if not usual[last + 1 :].any() else last,
    )


def _flags(vector: PacketTable, packets: float) -> Iterator[Test]:
    for mask in _MASKS:
        numbers, counts = np.unique(vector.flags[vector.has_flags] & mask, return_counts=True)
        if len(counts) and counts.max() >= LEAST * packets:
            yield Flags(mask, int(numbers[counts.argmax()]))


def _sources(vector: PacketTable, packets: float) -> Iterator[Test]:
    """Few addresses, or few networks, that most packets come from."""
    version = int(vector.version[0]) if len(vector) else V4
    packed = np.ascontiguousarray(vector.source).view("u1").reshape(-1, 16)
    for prefix in _PREFIXES.get(version, ()):
        bits = prefix + 96 if version == V4 else prefix
        head = np.ascontiguousarray(packed[:, : bits // 8]).view(f"V{bits // 8}").ravel()
        numbers, counts = np.unique(head, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:_MOST_VALUES]
        covered = np.cumsum(counts[order]) / packets
        enough = int(np.searchsorted(covered, LEAST))
        if enough >= len(order) or covered[enough] < LEAST:
            continue
        for wanted in (*_COVERAGES[1:], LEAST):
            size = min(int(np.searchsorted(covered, wanted)) + 1, len(order))
            if covered[size - 1] < wanted:
                continue
            made = [_network(bytes(numbers[place]), bits) for place in order[:size]]
            yield Networks("source", _collapsed(made))
            break
        return


def _network(head: bytes, bits: int) -> Network:
    return network_of(head + bytes(16 - len(head)), bits)


def _collapsed(networks: list[Any]) -> tuple[Network, ...]:
    return tuple(sorted(collapse_addresses(networks)))


def shared(mask: Mask, weights: np.ndarray) -> float:
    """The weighted share of a mask; 0 of nothing."""
    total = float(weights.sum())
    return float(weights[mask].sum()) / total if total else 0.0
