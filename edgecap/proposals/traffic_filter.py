"""What a proposed filter is: the packets of one IP version, with all of a few simple properties.

A filter is small on purpose. All of it can be said in most of the languages in `forms`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import Final, Literal

import numpy as np

from edgecap.proposals.table import ICMP, ICMP6, LATER, TCP, UDP, V4, Column, Mask, PacketTable, as_mask

Network = IPv4Network | IPv6Network
Range = tuple[int, int]
"""Both ends belong to it."""


class Field(StrEnum):
    """A number in a header."""

    SOURCE_PORT = "source port"
    DESTINATION_PORT = "destination port"
    LENGTH = "length"  # of the IP packet with its header, bytes
    TTL = "ttl"  # or hop limit
    ICMP_TYPE = "icmp type"
    ICMP_CODE = "icmp code"
    WINDOW = "tcp window"
    PAYLOAD = "udp payload"  # its first four bytes


LARGEST: Final = {
    Field.SOURCE_PORT: 0xFFFF,
    Field.DESTINATION_PORT: 0xFFFF,
    Field.LENGTH: 0xFFFF,
    Field.TTL: 0xFF,
    Field.ICMP_TYPE: 0xFF,
    Field.ICMP_CODE: 0xFF,
    Field.WINDOW: 0xFFFF,
    Field.PAYLOAD: 0xFFFF_FFFF,
}
_PROTOCOLS: Final[dict[Field, frozenset[int]]] = {
    Field.SOURCE_PORT: frozenset({TCP, UDP}),
    Field.DESTINATION_PORT: frozenset({TCP, UDP}),
    Field.WINDOW: frozenset({TCP}),
    Field.PAYLOAD: frozenset({UDP}),
}
"""The protocols that have a field. ICMP's depend on the version; the others are fields of IP."""


@dataclass(frozen=True, slots=True)
class Networks:
    """The address on one side is in one of some networks."""

    side: Literal["source", "destination"]
    networks: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class Values:
    """A field has one of some values: ranges in order, which do not touch each other."""

    field: Field
    ranges: tuple[Range, ...]

    @classmethod
    def of(cls, field: Field, values: Iterable[int]) -> Values:
        """These values; neighbours become one range."""
        ranges: list[Range] = []
        for value in sorted(set(values)):
            if ranges and value == ranges[-1][1] + 1:
                ranges[-1] = (ranges[-1][0], value)
            else:
                ranges.append((value, value))
        return cls(field, tuple(ranges))

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(last - first + 1 for first, last in self.ranges)


@dataclass(frozen=True, slots=True)
class Flags:
    """Of the TCP flags in `mask`, exactly those in `value` are set."""

    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class Fragments:
    """IPv4 fragments: all of them, or only the later ones, which have no ports."""

    later: bool


Test = Networks | Values | Flags | Fragments


@dataclass(frozen=True, slots=True)
class TrafficFilter:
    """Packets that pass all tests.

    Attributes:
        version: 4 or 6.
        protocol: the IP protocol; None for any.
        tests: at most one for each field and side.

    Raises:
        ValueError: a test does not suit the version or the protocol.
    """

    version: int
    protocol: int | None = None
    tests: tuple[Test, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a test that no packet of this kind could pass."""
        for test in self.tests:
            if isinstance(test, Networks):
                good = bool(test.networks) and all(each.version == self.version for each in test.networks)
            elif isinstance(test, Values):
                protocols = _protocols_with(test.field, self.version)
                good = bool(test.ranges) and (protocols is None or self.protocol in protocols)
                good &= all(0 <= first <= last <= LARGEST[test.field] for first, last in test.ranges)
            elif isinstance(test, Flags):
                good = self.protocol == TCP and not test.value & ~test.mask
            else:
                good = self.version == V4
            if not good:
                raise ValueError(f"{test} does not suit IPv{self.version}, protocol {self.protocol}")
        names = [name_of(test) for test in self.tests]
        if len(set(names)) < len(names):
            raise ValueError("two tests of one field")

    def plus(self, *tests: Test) -> TrafficFilter:
        """The same with more tests."""
        return TrafficFilter(self.version, self.protocol, (*self.tests, *tests))

    def networks(self, side: Literal["source", "destination"]) -> tuple[Network, ...]:
        """The networks of a side; none if any address will do."""
        for test in self.tests:
            if isinstance(test, Networks) and test.side == side:
                return test.networks
        return ()

    def matches(self, table: PacketTable) -> Mask:
        """Which of the packets match."""
        kind = (self.version, self.protocol)
        base = table.remembered.get(kind)
        if base is None:
            base = as_mask(table.version == self.version)
            if self.protocol is not None:
                base &= table.protocol == self.protocol
            table.remembered[kind] = base
        found = base.copy()
        for test in self.tests:
            found &= passes(test, table)
        return found


def _protocols_with(field: Field, version: int) -> frozenset[int] | None:
    """The protocols that have a field; None if it is one of IP."""
    if field in (Field.ICMP_TYPE, Field.ICMP_CODE):
        return frozenset({ICMP if version == V4 else ICMP6})
    return _PROTOCOLS.get(field)


def name_of(test: Test) -> str:
    """What a test looks at: there is at most one for each in a filter."""
    if isinstance(test, Networks):
        return test.side
    if isinstance(test, Values):
        return test.field.value
    return "flags" if isinstance(test, Flags) else "fragments"


def passes(test: Test, table: PacketTable) -> Mask:
    """Which of the packets pass a test, whatever their version and protocol. Do not change the mask."""
    known = table.remembered.get(test)
    if known is None:
        known = table.remembered[test] = _passes(test, table)
    return known


def _passes(test: Test, table: PacketTable) -> Mask:
    if isinstance(test, Networks):
        addresses = table.source if test.side == "source" else table.destination
        found = np.zeros(len(table), bool)
        for network in test.networks:
            found |= _within(addresses, network)
        return found & table.has_ip
    if isinstance(test, Flags):
        return table.has_flags & as_mask(table.flags & test.mask == test.value)
    if isinstance(test, Fragments):
        # Fragments of IPv6 have an extension header, behind which nothing is compared.
        return as_mask(table.fragment == LATER if test.later else table.fragment != 0)
    return _has_value(test, table)


def _has_value(test: Values, table: PacketTable) -> Mask:
    values, known = field_of(test.field, table)
    if LARGEST[test.field] > 0xFFFF:  # noqa: PLR2004 - a table of all values would be too large
        hit = np.zeros(len(table), bool)
        for first, last in test.ranges:
            hit |= (values >= first) & (values <= last)
    elif len(test.ranges) == 1:
        first, last = test.ranges[0]
        hit = values == first if first == last else (values >= first) & (values <= last)
    else:
        wanted = np.zeros(LARGEST[test.field] + 1, bool)
        for first, last in test.ranges:
            wanted[first : last + 1] = True
        hit = wanted[values]
    return hit & known


_COLUMNS: Final = {
    Field.SOURCE_PORT: ("source_port", "has_ports"),
    Field.DESTINATION_PORT: ("destination_port", "has_ports"),
    Field.LENGTH: ("length", "has_ip"),
    Field.TTL: ("ttl", "has_ip"),
    Field.ICMP_TYPE: ("icmp_type", "has_icmp"),
    Field.ICMP_CODE: ("icmp_code", "has_icmp"),
    Field.WINDOW: ("window", "has_window"),
    Field.PAYLOAD: ("payload", "has_payload"),
}


def field_of(field: Field, table: PacketTable) -> tuple[Column, Mask]:
    """The values of a field, and which packets have it."""
    values, known = _COLUMNS[field]
    return getattr(table, values), getattr(table, known)


def _within(addresses: Column, network: Network) -> Mask:
    """Which addresses are in a network."""
    bits = network.prefixlen
    number = int(network.network_address)
    if network.version == V4:
        bits, number = bits + 96, number | 0xFFFF << 32
    mask = ((1 << bits) - 1) << 128 - bits
    found: Mask | None = None
    for half, shift in ((0, 64), (1, 0)):
        wanted, part = _native(number >> shift), _native(mask >> shift)
        if not part:
            continue
        column = addresses[:, half]
        hit = column == wanted if part == np.uint64(0xFFFF_FFFF_FFFF_FFFF) else column & part == wanted & part
        found = hit if found is None else found & hit
    return np.ones(len(addresses), bool) if found is None else found


def _native(number: int) -> np.uint64:
    """64 bits as they lie in a packet, read as a number of this machine."""
    packed = (number & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big")
    return np.uint64(np.frombuffer(packed, "u8")[0])


def network_of(packed: bytes, prefix: int = 128) -> Network:
    """The network of an address of `LAYER`; `prefix` counts the bits of the mapped address."""
    number = int.from_bytes(packed, "big")
    whole = IPv6Address(number)
    if whole.ipv4_mapped is not None:
        return IPv4Network((int(whole.ipv4_mapped), max(0, prefix - 96)), strict=False)
    return IPv6Network((number, prefix), strict=False)


def network_words(network: Network) -> str:
    """An address without its prefix length, a network with it."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
