"""The vectors that a verdict names, as vectors of proposals: what their packets have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_network
from typing import Final

from edgecap.packets.names import ACK, FIN, RST, SYN
from edgecap.packets.verdict.kind import Kind
from edgecap.packets.verdict.model import Vector as Judged
from edgecap.proposals.contrast import Side, large_enough
from edgecap.proposals.table import ICMP, ICMP6, TCP, UDP, V4
from edgecap.proposals.traffic_filter import Field, Flags, Fragments, Networks, Test, TrafficFilter, Values
from edgecap.proposals.vector import CONTROL, Vector, members

_FLAGS: Final = {
    Kind.SYN: Flags(CONTROL, SYN),
    Kind.SYN_ACK: Flags(CONTROL, SYN | ACK),
    Kind.ACK: Flags(CONTROL, ACK),
    Kind.DATA: Flags(CONTROL, ACK),
    Kind.FIN: Flags(CONTROL, FIN | ACK),
    Kind.RST: Flags(RST, RST),
}
_MOST = 5


def hints(judged: Sequence[Judged], attack: Side) -> list[Vector]:
    """The vectors of a verdict that have enough packets here; likely ones, if there are any.

    A vector whose packets are in tunnels has none: a firewall sees the tunnels.

    Args:
        judged: the vectors of the verdicts, the most likely and largest first.
        attack: the captures of the attack.
    """
    likely = [each for each in judged if each.strength == "likely"] or list(judged)
    found: dict[TrafficFilter, Vector] = {}
    for each in likely:
        for vector in _vectors(each):
            found.setdefault(vector.filter, vector)
    vectors = list(found.values())
    counts = [attack.count(mine) for mine in members(vectors, attack.table)]
    kept = [vector for vector, count in zip(vectors, counts, strict=True) if count >= large_enough(attack)]
    return kept[:_MOST]


def _vectors(judged: Judged) -> Iterator[Vector]:
    """One for each kind of packets in it."""
    match = judged.match
    with suppress(ValueError):  # an address that this version does not understand
        to = ip_network(match.destination) if match.destination else None
        source = ip_network(match.source) if match.source else None
        first = to or source
        version = first.version if first else V4
        common: list[Test] = [Networks("destination", (to,))] if to else []
        common += [Networks("source", (source,))] if source else []
        kinds = match.kinds or (None,)
        for kind in dict.fromkeys(_FLAGS.get(each, each) if each else None for each in kinds):
            tests, protocol, words = list(common), match.protocol, ""
            if isinstance(kind, Flags):
                tests.append(kind)
                protocol = TCP
            elif kind is Kind.FRAGMENT:
                tests.append(Fragments(later=True))
                words = ": later fragments"
            elif kind in (Kind.ECHO, Kind.ECHO_REPLY):
                protocol = ICMP if version == V4 else ICMP6
                types = (8, 0) if version == V4 else (128, 129)
                tests.append(Values.of(Field.ICMP_TYPE, [types[kind is Kind.ECHO_REPLY]]))
            if protocol in (TCP, UDP) and kind is not Kind.FRAGMENT:
                tests += _ports(match.source_port, match.destination_port)
            if tests != common or protocol is not None:
                yield Vector(judged.title + words, TrafficFilter(version, protocol, tuple(tests)))


def _ports(source: int | None, destination: int | None) -> Iterator[Test]:
    if source is not None:
        yield Values.of(Field.SOURCE_PORT, [source])
    if destination is not None:
        yield Values.of(Field.DESTINATION_PORT, [destination])
