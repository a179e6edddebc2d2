"""A vector: packets of an attack that have one thing in common, such as NTP answers to one address.

The verdict offers vectors (`hints`). Besides, the capture is split here into kinds of packets, which
`contrast` compares with the baseline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgecap.packets.names import ACK, FIN, RST, SYN, flags_name, icmp_name
from edgecap.packets.verdict.services import AMPLIFIERS
from edgecap.proposals.table import LATER, UDP, V4, V6, Column, Mask, PacketTable
from edgecap.proposals.traffic_filter import (
    Field,
    Flags,
    Fragments,
    Network,
    Networks,
    Test,
    TrafficFilter,
    Values,
    network_of,
    network_words,
)
from edgecap.protocols import protocol_name

CONTROL = FIN | SYN | RST | ACK
"""The TCP flags that say what a packet is for; the others come and go."""
ENOUGH = 100  # packets; fewer are no vector
_ALONE = 0.5  # of a vector's packets to one address: it is the target, with others as frequent
_ALSO = 0.1
_COVERED = 0.8  # of a vector's packets that go to its target
_MOST_TARGETS = 8
_OUTLIERS = 0.02  # on each side, of packets that do not widen a target's prefix
_SHORTEST = {V4: 8, V6: 16}  # bits; a shorter prefix is no target


@dataclass(frozen=True, slots=True)
class Vector:
    """A vector, as what its packets have in common.

    Attributes:
        title: for people, such as `NTP answers to 203.0.113.7`.
        filter: matches its packets, and few others.
    """

    title: str
    filter: TrafficFilter

    @property
    def scope(self) -> TrafficFilter:
        """All traffic to the vector's target: what a filter against it could harm."""
        to = self.filter.networks("destination")
        return TrafficFilter(self.filter.version, None, (Networks("destination", to),) if to else ())


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of packets: an IP version, a protocol and what the protocol says they are for."""

    title: str
    version: int
    protocol: int
    tests: tuple[Test, ...] = ()

    @property
    def filter(self) -> TrafficFilter:
        """Matches the packets of this kind."""
        return TrafficFilter(self.version, self.protocol, self.tests)


_FLAGS_AT, _SERVICE_AT, _LATER_AT, _ICMP_AT = 1 << 8, 1 << 12, 1 << 30, 1 << 29


def kinds_of(table: PacketTable) -> Iterator[tuple[Kind, Mask]]:
    """The kinds of packets in a table, the most frequent first, and which packets are of each."""
    codes = _codes(table)
    numbers, counts = np.unique(codes[codes >= 0], return_counts=True)
    for place in np.argsort(-counts, kind="stable"):
        code = int(numbers[place])
        yield _kind(code), codes == code


def _codes(table: PacketTable) -> Column:
    """A number for each packet that stands for its kind; -1 for what is not IP."""
    protocol = table.protocol.astype("i8")
    detail = np.zeros(len(table), "i8")
    detail[table.has_flags] = _FLAGS_AT + (table.flags[table.has_flags] & CONTROL).astype("i8")
    reflected = np.zeros(1 << 16, bool)
    reflected[list(AMPLIFIERS)] = True
    service = table.has_ports & (table.protocol == UDP) & reflected[table.source_port]
    # A service that talks to its like, such as one name server to another, is no reflector.
    service &= table.source_port != table.destination_port
    detail[service] = _SERVICE_AT + table.source_port[service].astype("i8")
    detail[table.has_icmp] = _ICMP_AT + table.icmp_type[table.has_icmp].astype("i8")
    detail[table.fragment == LATER] = _LATER_AT
    codes = detail << 16 | protocol << 8 | table.version
    return np.where(table.has_protocol, codes, -1)


def _kind(code: int) -> Kind:
    version, protocol, detail = code & 0xFF, code >> 8 & 0xFF, code >> 16
    name = protocol_name(protocol).upper()
    if detail == _LATER_AT:
        return Kind(f"later fragments of {name}", version, protocol, (Fragments(later=True),))
    if detail >= _ICMP_AT:
        number = detail - _ICMP_AT
        title = f"ICMP {icmp_name(version, number)}"
        return Kind(title, version, protocol, (Values.of(Field.ICMP_TYPE, [number]),))
    if detail >= _SERVICE_AT:
        port = detail - _SERVICE_AT
        title = f"{AMPLIFIERS[port].name} answers (UDP from port {port})"
        return Kind(title, version, protocol, (Values.of(Field.SOURCE_PORT, [port]),))
    if detail >= _FLAGS_AT:
        flags = detail - _FLAGS_AT
        what = f"TCP {flags_name(flags)} packets" if flags else "TCP packets without flags"
        return Kind(what, version, protocol, (Flags(CONTROL, flags),))
    return Kind(f"{name} packets", version, protocol)


def targets_of(table: PacketTable) -> tuple[tuple[Network, ...], float]:
    """Where packets of one IP version go: some addresses or a prefix; empty for everywhere.

    Returns:
        The networks, and which part of the packets goes to them.
    """
    if not len(table):
        return (), 0.0
    destinations = np.ascontiguousarray(table.destination).view("V16").ravel()
    addresses, counts = np.unique(destinations, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shares = counts[order] / len(table)
    if shares[0] >= _ALONE or shares[:_MOST_TARGETS].sum() >= _COVERED:
        kept = max(1, int((shares[:_MOST_TARGETS] >= _ALSO * shares[0]).sum()))
        found = tuple(sorted(network_of(bytes(addresses[place])) for place in order[:kept]))
        return found, float(shares[:kept].sum())
    prefix = _prefix([bytes(each) for each in addresses], counts, len(table))
    if prefix is None:
        return (), 1.0
    within = Networks("destination", (prefix,))
    return (prefix,), float(TrafficFilter(prefix.version, None, (within,)).matches(table).mean())


def _prefix(addresses: list[bytes], counts: Column, packets: int) -> Network | None:
    """The smallest prefix with nearly all packets; None if it would be nearly everything."""
    numbers = [int.from_bytes(each, "big") for each in addresses]
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    sums = np.cumsum(counts[order])
    low = numbers[order[int(np.searchsorted(sums, _OUTLIERS * packets))]]
    high = numbers[order[min(int(np.searchsorted(sums, (1 - _OUTLIERS) * packets)), len(order) - 1)]]
    bits = 128 - (low ^ high).bit_length()
    network = network_of(low.to_bytes(16, "big"), bits)
    return network if network.prefixlen >= _SHORTEST[network.version] else None


def members(vectors: Sequence[Vector], table: PacketTable) -> list[Mask]:
    """Which packets are of each vector: of those that match, the one that says most about the packet."""
    found = [np.zeros(0, bool)] * len(vectors)
    free = np.ones(len(table), bool)
    for place in sorted(range(len(vectors)), key=lambda each: -len(vectors[each].filter.tests)):
        found[place] = free & vectors[place].filter.matches(table)
        free &= ~found[place]
    return found


def aimed(kind: Kind, to: Sequence[Network]) -> Vector:
    """The packets of a kind that go to some networks."""
    if not to:
        return Vector(kind.title, kind.filter)
    shown = [network_words(each) for each in to]
    where = shown[0] if len(shown) == 1 else f"{shown[0]} and {len(shown) - 1} more"
    return Vector(f"{kind.title} to {where}", kind.filter.plus(Networks("destination", tuple(to))))
