"""Floods of TCP packets, and reflection by servers that answer SYNs with SYN+ACK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgecap.packets.verdict.case import ENOUGH, Case, Draft, packets_of, streams, tcp
from edgecap.packets.verdict.evidence import Kind, Stream, Target
from edgecap.packets.verdict.model import Match, Sign
from edgecap.packets.verdict.signs import (
    MANY,
    drafted,
    fast,
    many_sources,
    no_connections,
    on,
    percent,
    port_share,
    spoofing,
    unanswered,
)

_TCP = 6
_MOSTLY, _MUCH = 0.6, 0.4
_ODD = 0.1
_PURE = 0.99
_ONE_PORT = 0.5
_FEW_SOURCES = 10
_SERVERS = 3
_SOME = 0.02
_RANGES = 8  # of destination ports


@dataclass(frozen=True, slots=True)
class _Flood:
    """A flood of packets of one kind.

    Attributes:
        kind: of the vector.
        name: in words.
        of: the kinds of its packets.
        words: what those packets are, in words.
        mostly: share of the target's TCP above which it is a sign.
    """

    kind: str
    name: str
    of: tuple[Kind, ...]
    words: str
    mostly: float = _MOSTLY


_FLOODS = (
    _Flood(
        "tcp-ack-flood", "TCP ACK flood", (Kind.ACK,), "acknowledge without payload (ACK, PSH+ACK)", _PURE
    ),
    _Flood(
        "tcp-data-flood", "TCP PSH+ACK flood", (Kind.DATA,), "carry payload outside of a connection", _PURE
    ),
    _Flood("tcp-rst-flood", "TCP RST flood", (Kind.RST,), "reset a connection (RST)"),
    _Flood("tcp-fin-flood", "TCP FIN flood", (Kind.FIN,), "end a connection (FIN+ACK)"),
)


def tcp_rules(case: Case, target: Target, scanned: int) -> Iterator[Draft]:
    """Vectors of TCP to a target.

    Args:
        case: what is judged.
        target: an address or a prefix.
        scanned: packets of scans to it.
    """
    yield from _syn(case, target, scanned)
    yield from _odd(case, target, scanned)
    yield from _syn_ack(case, target)
    for flood in _FLOODS:
        yield from _other(case, target, flood)


def _draft(
    case: Case,
    target: Target,
    kind: str,
    name: str,
    found: Sequence[Stream],
    words: str,
    signs: Sequence[Sign],
) -> Draft:
    packets = packets_of(found)
    port, share = port_share(found)
    shown = port if share >= _ONE_PORT else 0
    parts = [f"{percent(packets / max(case.evidence.packets, 1))} of all"]
    if not case.conditions.fixes("flags"):
        parts.append(f"{percent(packets / max(tcp(target), 1))} of TCP to {target.address}")
    return drafted(
        target,
        found,
        kind=kind,
        title=f"{name}{on(target, shown)}",
        first=f"{packets:,} packets {words}: {', '.join(parts)}",
        signs=signs,
        match=Match(
            kinds=tuple(each.kind for each in found),
            protocol=_TCP,
            destination=target.address,
            destination_port=shown or None,
        ),
    )


def _syn(case: Case, target: Target, scanned: int) -> Iterator[Draft]:
    found = streams(target, Kind.SYN)
    packets = packets_of(found)
    if packets < ENOUGH or scanned >= packets / 2:
        return
    connected = packets_of(streams(target, Kind.CONNECTION, Kind.DATA, Kind.FIN))
    signs = [] if case.conditions.fixes("flags") else list(_syn_shares(case, target, found, connected))
    bare = sum(each.bare for each in found)
    if bare >= 0.9 * packets and found[0].sources >= MANY:
        line = f"{percent(bare / packets)} have no TCP options, which every common system sends"
        signs.append(Sign(name="bare-syn", weight=1, line=line))
    signs += spoofing(found)
    if case.both_ways:
        half = sum(each.answered for each in found)
        if half >= 0.5 * packets and connected < packets:
            line = f"{percent(half / packets)} are answered, and never followed by an ACK"
            signs.append(Sign(name="half-open", weight=1, line=line))
    if target.is_prefix and "one-port" not in {each.name for each in signs}:
        signs.append(Sign(name="spread", weight=-2, line="spread over a prefix, as background noise is"))
    signs += fast(case, packets, least=1_000)
    yield _draft(case, target, "syn-flood", "SYN flood", found, "ask for a connection (SYN)", signs)


def _syn_shares(case: Case, target: Target, found: Sequence[Stream], connected: int) -> Iterator[Sign]:
    """SYNs among the target's TCP, and their ports."""
    stream, packets = found[0], packets_of(found)
    share = packets / tcp(target)
    if share >= _MUCH:
        line = f"{percent(share)} of the TCP packets ask for a connection; of connections, a third do at most"
        yield Sign(name="mostly-syn", weight=2 if share >= _MOSTLY else 1, line=line)
    port, on_port = port_share(found)
    if not case.conditions.fixes("destination-port") and on_port >= _ONE_PORT and share >= _MUCH:
        yield Sign(name="one-port", weight=1, line=f"{percent(on_port)} of them go to port {port}")
    elif share >= _MUCH and connected < 0.02 * packets and stream.destination_ports < MANY:
        yield Sign(name="no-connection", weight=1, line="hardly a connection is used")
    elif stream.destination_ports >= MANY and stream.sources >= MANY:
        line = f"to {stream.destination_ports:,} ports: as the scans of many that reach any address"
        yield Sign(name="many-ports", weight=-1, line=line)


def _odd(case: Case, target: Target, scanned: int) -> Iterator[Draft]:
    found = streams(target, Kind.ODD)
    packets = packets_of(found)
    if packets < ENOUGH or scanned >= packets / 2 or packets < _ODD * tcp(target):
        return
    line = f"{percent(packets / tcp(target))} of the TCP packets have flags that no connection has"
    signs = [Sign(name="odd-flags", weight=2 if case.conditions.fixes("flags") else 3, line=line)]
    signs += spoofing(found)
    words = "have flags that no connection has (none, FIN, Xmas, SYN+FIN, ...)"
    yield _draft(
        case, target, "tcp-odd-flood", "flood of odd TCP flags (Xmas and others)", found, words, signs
    )


def _syn_ack(case: Case, target: Target) -> Iterator[Draft]:
    found = streams(target, Kind.SYN_ACK)
    packets = packets_of(found)
    if found and found[0].sources < _SERVERS:
        return  # a server repeats itself
    if packets < ENOUGH or (target.is_prefix and packets < _MUCH * tcp(target)):
        return
    share = packets / tcp(target)
    signs: list[Sign] = []
    if share >= _MUCH and not case.conditions.fixes("flags"):
        line = f"{percent(share)} of the TCP packets are SYN+ACK; a connection has one"
        signs.append(Sign(name="mostly-syn-ack", weight=2, line=line))
    answered = sum(each.answered for each in found)
    if answered >= packets / 2:
        line = f"{percent(answered / packets)} of them answer something that {target.address} sent"
        signs.append(Sign(name="asked-for", weight=-3, line=line))
    else:
        signs += unanswered(case, found)
        many = packets / max(sum(each.flows for each in found), 1)
        if many >= 3 and not case.conditions.sampled:  # noqa: PLR2004
            line = f"{many:.1f} in a flow: servers repeat what is never acknowledged"
            signs.append(Sign(name="repeated", weight=1, line=line))
    signs += many_sources(found, least=20)
    signs += spoofing(found)
    draft = _draft(
        case,
        target,
        "syn-ack-reflection",
        "SYN+ACK reflection",
        found,
        "accept a connection (SYN+ACK)",
        signs,
    )
    yield draft


def _other(case: Case, target: Target, flood: _Flood) -> Iterator[Draft]:
    found = streams(target, *flood.of)
    packets = packets_of(found)
    if packets < ENOUGH:
        return
    share = packets / tcp(target)
    signs: list[Sign] = []
    if not case.conditions.fixes("flags") and share >= flood.mostly and found[0].sources >= MANY:
        line = f"{percent(share)} of the TCP packets are of this kind"
        signs.append(Sign(name="mostly-one-kind", weight=1 if flood.mostly >= _PURE else 2, line=line))
    forged = [*spoofing(found)]
    if packets >= _ODD * tcp(target):
        signs += forged
        signs += unanswered(case, found) if found[0].sources >= _FEW_SOURCES else ()
        signs += no_connections(case, found) if found[0].sources >= MANY else ()
        signs += _no_timestamps(target, found)
        signs += _any_port(case, target, found)
    signs += fast(case, packets, least=100_000)
    yield _draft(case, target, flood.kind, flood.name, found, flood.words, signs)


def _no_timestamps(target: Target, found: Sequence[Stream]) -> Iterator[Sign]:
    """Segments without options from systems that send timestamps (RFC 7323), if the other side agrees.

    Linux, Android, the BSDs and Apple's systems start with TTL 64 and do so. A target that agreed with some
    of them agrees with all. One that never does, such as Windows by default, gets none: that is no sign.
    """
    bare, low = sum(each.no_options for each in found), sum(each.low_ttl for each in found)
    if found[0].sources < MANY or bare < max(ENOUGH, _MUCH * low):
        return
    if port_share(found)[1] < _ONE_PORT or _from_services(found) > _ODD * packets_of(found):
        return  # of a client, whose servers each do as they like
    whole = streams(target, Kind.ACK, Kind.DATA, Kind.FIN, Kind.CONNECTION)
    with_options = sum(each.low_ttl - each.no_options for each in whole)
    if with_options >= _SOME * bare:
        line = (
            f"{percent(bare / low)} of those with a TTL of 64 or less have no TCP options, while "
            f"{with_options:,} others to {target.address} have them"
        )
        yield Sign(name="no-timestamps", weight=2, line=line)


def _from_services(found: Sequence[Stream]) -> int:
    """Packets from the most frequent source ports, which clients hardly share."""
    return sum(top.packets for each in found for top in each.top_source_ports)


def _any_port(case: Case, target: Target, found: Sequence[Stream]) -> Iterator[Sign]:
    """Packets from any port to any port: at one end of a connection is the port of a service."""
    stream = max(found, key=lambda each: each.packets)
    if target.is_prefix or case.conditions.fixes("source-port", "destination-port"):
        return
    if min(stream.destination_ports, stream.source_ports) < MANY or len(stream.port_spread) != _RANGES:
        return
    services = {
        each.value // (65_536 // _RANGES)
        for each in stream.top_destination_ports
        if each.packets >= _SOME * stream.packets
    }
    rest = [count for at, count in enumerate(stream.port_spread) if at not in services]
    if _from_services([stream]) > _ODD * stream.packets or len(rest) < _RANGES // 2:
        return
    if min(rest) >= max(3, 0.4 * sum(rest) / len(rest)) and sum(rest) >= _SOME * stream.packets:
        line = (
            f"from {stream.source_ports:,} ports to {stream.destination_ports:,} of all ranges: "
            "neither end is a service"
        )
        yield Sign(name="any-port", weight=2, line=line)
