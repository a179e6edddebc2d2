"""Floods of ICMP, of other IP protocols and of tunnels; connections that are kept open for nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgecap.packets.verdict.case import ENOUGH, Case, Draft, packets_of, streams
from edgecap.packets.verdict.evidence import Kind, Stream, Target
from edgecap.packets.verdict.kinds import OTHER_PROTOCOLS
from edgecap.packets.verdict.model import Match, Sign
from edgecap.packets.verdict.signs import (
    MANY,
    drafted,
    fast,
    many_sources,
    on,
    percent,
    spoofing,
    unanswered,
)
from edgecap.protocols import protocol_name

_ICMP = 1
_ICMP_KINDS = (
    (Kind.ECHO, "ICMP echo flood", "ask for an echo (ping)"),
    (Kind.ECHO_REPLY, "ICMP echo reply flood", "answer a ping"),
    (Kind.ICMP, "ICMP error flood", "are other ICMP, mostly errors"),
)
_CONTROL = frozenset({2, 88, 89, 103, 112, 115, 124})  # IGMP, EIGRP, OSPF, PIM, VRRP, L2TP, IS-IS
_MOSTLY = 0.5
_PART = 0.1
_LARGE = 500  # bytes
_PROTOCOLS = 20
_SLOW, _SLOW_OF_ONE, _SLOW_OF_MANY = 30, 20, 60  # connections
_SMALL_OF_ONE, _VERY_MANY = 60, 200  # connections of which a sample was kept
_ONE_SIZE = 0.7


def other_rules(case: Case, target: Target, scanned: int) -> Iterator[Draft]:
    """Vectors of ICMP and other protocols to a target."""
    yield from _icmp(case, target, scanned)
    yield from _protocols(case, target)
    yield from _slow(case, target)


def _icmp(case: Case, target: Target, scanned: int) -> Iterator[Draft]:
    for kind, name, words in _ICMP_KINDS:
        found = streams(target, kind)
        packets = packets_of(found)
        if packets < max(ENOUGH, _PART * target.packets) or scanned >= packets / 2:
            continue
        stream = found[0]
        signs: list[Sign] = []
        if not case.conditions.fixes("protocol", "icmp") and packets >= _MOSTLY * target.packets:
            line = f"{percent(packets / target.packets)} of all packets to {target.address}"
            signs.append(Sign(name="mostly-icmp", weight=1, line=line))
        if stream.mean_size >= _LARGE and not case.conditions.fixes("size"):
            line = f"{stream.mean_size:,.0f} bytes each; a ping has about 100"
            signs.append(Sign(name="large", weight=1, line=line))
        signs += many_sources(found)
        signs += spoofing(found)
        rapid = [*fast(case, packets, least=5_000), *fast(case, packets, least=50_000)]
        signs += rapid
        if stream.answered < packets / 2:
            signs += unanswered(case, found)
        elif not rapid:
            line = f"{percent(stream.answered / packets)} have an answer, or are one: pings that work"
            signs.append(Sign(name="answered", weight=-1, line=line))
        yield drafted(
            target,
            found,
            kind="icmp-flood",
            title=f"{name}{on(target)}",
            first=f"{packets:,} ICMP packets {words}: {percent(packets / case.evidence.packets)} of all",
            signs=signs,
            match=Match(kinds=(kind,), protocol=_ICMP, destination=target.address),
        )


def _protocols(case: Case, target: Target) -> Iterator[Draft]:
    found = [each for each in streams(target, Kind.PROTOCOL) if each.port not in _CONTROL]
    packets = packets_of(found)
    tunnelled = case.evidence.tunnelled
    if tunnelled and tunnelled.packets >= 0.5 * case.evidence.packets:
        return  # `tunnel_rules`
    if packets < ENOUGH or packets < 0.1 * case.evidence.packets:
        return
    largest = max(found, key=lambda each: each.packets)
    several = largest.port == OTHER_PROTOCOLS and largest.destination_ports >= _PROTOCOLS
    tops = largest.top_destination_ports
    number = tops[0].value if largest.port == OTHER_PROTOCOLS and tops else largest.port
    name = "IP protocol" if several else protocol_name(number).upper()
    signs: list[Sign] = []
    if several:
        line = f"of {largest.destination_ports} or more IP protocols: no host uses as many"
        signs.append(Sign(name="many-protocols", weight=3, line=line))
    signs += many_sources(found, weight=2)
    signs += spoofing(found)
    signs += unanswered(case, found)
    if not case.conditions.fixes("protocol") and packets >= 0.9 * target.packets:
        line = f"{percent(packets / target.packets)} of all packets to {target.address}"
        signs.append(Sign(name="nothing-else", weight=1, line=line))
    signs += fast(case, packets, least=500_000)
    yield drafted(
        target,
        found,
        kind="protocol-flood",
        title=f"{name} flood{on(target)}",
        first=f"{packets:,} packets of {name}: {percent(packets / case.evidence.packets)} of all",
        signs=signs,
        match=Match(kinds=(Kind.PROTOCOL,), protocol=None if several else number, destination=target.address),
    )


def tunnel_rules(case: Case) -> Iterator[Draft]:
    """A flood of tunnel packets: of many outer sources, or with an endless variety inside."""
    found = case.evidence.tunnelled
    if not found or found.packets < ENOUGH or found.packets < 0.1 * case.evidence.packets:
        return
    name = protocol_name(found.protocol).upper()
    end = found.ends[0] if found.ends else None
    signs: list[Sign] = []
    if found.sources >= MANY:
        line = f"from {found.sources:,} outer sources; tunnels have a few peers"
        signs.append(Sign(name="many-sources", weight=2, line=line))
    if found.destinations >= 0.5 * found.packets and found.sources >= MANY:
        line = f"to {found.destinations:,} different addresses inside, about one a packet"
        signs.append(Sign(name="random-inside", weight=2, line=line))
    where_to = end.address if end and end.packets >= found.packets / 2 else ""
    yield Draft(
        kind="protocol-flood",
        title=f"{name} flood" + (f" on {where_to}" if where_to else ""),
        target=Target(address=where_to, packets=found.packets, bytes=0, streams=()) if where_to else None,
        packets=found.packets,
        bytes=case.evidence.bytes * found.packets // max(case.evidence.packets, 1),
        first=f"{found.packets:,} packets in {name}: {percent(found.packets / case.evidence.packets)} of all",
        signs=tuple(signs),
        match=Match(protocol=found.protocol, destination=where_to),
        sources=found.sources,
    )


def _slow(case: Case, target: Target) -> Iterator[Draft]:
    """Many connections to one port that last, carry nearly nothing, and do not end."""
    if target.is_prefix:
        return
    found = streams(target, Kind.CONNECTION, Kind.DATA, Kind.ACK)
    signs = list(_of_one_in_samples(found) if case.conditions.sampled else _lasting(found))
    if not signs:
        return
    packets, flows = packets_of(found), sum(each.flows for each in found)
    sources = max((each.sources for each in found), default=0)
    yield drafted(
        target,
        found,
        kind="low-and-slow",
        title=f"low and slow connections{on(target)}",
        first=f"{packets:,} packets in {flows:,} connections from {sources:,} sources",
        signs=signs,
        match=Match(kinds=tuple(each.kind for each in found), protocol=6, destination=target.address),
        forgiving=True,
    )


def _lasting(found: Sequence[Stream]) -> Iterator[Sign]:
    """Connections that last, and many of them of one source."""
    slow, flows = sum(each.slow for each in found), sum(each.flows for each in found)
    of_one = max((each.slow_of_one for each in found), default=0)
    if slow < _SLOW or of_one < _SLOW_OF_ONE:
        return
    line = f"{slow:,} of {flows:,} connections last, with at most two small packets a second, and do not end"
    yield Sign(name="slow-connections", weight=1, line=line)
    line = f"{of_one:,} such connections of one source"
    yield Sign(name="many-of-one", weight=2 if of_one >= _SLOW_OF_MANY else 1, line=line)


def _of_one_in_samples(found: Sequence[Stream]) -> Iterator[Sign]:
    """Very many connections of one source that carry a few bytes at a time, always as many.

    Samples do not show how long a connection lasts. They show that its packets are small, and from how many
    ports one source sends them.
    """
    small, of_one = sum(each.small for each in found), max((each.small_of_one for each in found), default=0)
    if of_one < _SMALL_OF_ONE:
        return
    line = f"{of_one:,} connections of one source carry a few bytes in a packet"
    yield Sign(name="many-of-one", weight=2 if of_one >= _VERY_MANY else 1, line=line)
    size, packets = max(
        ((each.top_small_size.value, each.top_small_size.packets) for each in found if each.top_small_size),
        key=lambda top: top[1],
    )
    if packets >= _ONE_SIZE * small:
        line = f"{percent(packets / small)} of those packets have {size} bytes"
        yield Sign(name="one-size", weight=1, line=line)
    else:
        yield Sign(name="several-sizes", weight=-1, line=f"only {percent(packets / small)} have one size")
