"""Scans and sweeps: a source that tries very many ports or addresses. Who answers is never named."""

from __future__ import annotations

from collections.abc import Iterator

from edgecap.packets.verdict.case import Case, Draft
from edgecap.packets.verdict.evidence import Kind, Prober
from edgecap.packets.verdict.model import Match, Sign
from edgecap.packets.verdict.signs import percent
from edgecap.units import plural

_TRIED = 50  # ports or addresses
_MANY = 100
_MOSTLY = 0.7  # of its flows are probes
_ANSWERING = 0.3
_ACCEPTED = 0.2  # of its probes: more is a client that is served
_FEW_PORTS = 20
_NEVER_TWICE = 200  # probes
_NEIGHBOURS = 3  # addresses in a /24; the peers of a client are spread wider
_NAMES = {
    Kind.SYN: "TCP SYN",
    Kind.ODD: "TCP (odd flags)",
    Kind.ACK: "TCP ACK",
    Kind.FIN: "TCP FIN",
    Kind.UDP: "UDP",
    Kind.ECHO: "ICMP",
    Kind.ICMP: "ICMP",
    Kind.PROTOCOL: "IP protocol",
}
_PROTOCOLS = {Kind.UDP: 17, Kind.ECHO: 1, Kind.ICMP: 1}


def scan_rules(case: Case) -> Iterator[Draft]:
    """Scans, one a source."""
    for each in case.evidence.probers:
        yield from _scan(case, each)


def _scan(case: Case, prober: Prober) -> Iterator[Draft]:
    probes = sum(prober.probes.values())
    if not probes or probes < _MOSTLY * prober.flows or prober.answering > _ANSWERING * prober.flows:
        return
    kind = Kind(max(prober.probes, key=lambda name: prober.probes[name]))
    many = prober.protocols >= _FEW_PORTS
    tried = max(prober.destinations, prober.destination_ports, prober.protocols if many else 0)
    if tried < (_FEW_PORTS if many else _TRIED):
        return
    if prober.accepted > _ACCEPTED * probes and kind is not Kind.ECHO:
        return
    upright = prober.destination_ports >= max(_TRIED, 5 * prober.destinations)
    level = prober.destinations >= _TRIED and prober.destination_ports <= _FEW_PORTS
    if not (upright or level or many):
        return
    if kind is Kind.ACK and case.conditions.sampled:
        return  # samples of ordinary connections
    signs = list(_signs(case, prober, kind, tried=tried, upright=upright, many=many))
    target = prober.top_destination if prober.top_destination_packets >= 0.9 * probes else ""
    what = "IP protocols" if many and not (upright or level) else "ports" if upright else "addresses"
    whole = "scan" if what != "addresses" else "sweep"
    where = f" of {target}" if target else ""
    yield Draft(
        kind="scan",
        title=f"{_NAMES.get(kind, 'TCP')} {whole} of {tried:,} {what}{where} by {prober.address}",
        target=None,
        packets=prober.packets,
        bytes=0,
        first=f"{prober.address} sent {prober.packets:,} packets in {prober.flows:,} flows: "
        f"{percent(prober.packets / max(case.evidence.packets, 1))} of all packets",
        signs=tuple(signs),
        match=Match(
            kinds=tuple(Kind(name) for name in prober.probes),
            protocol=None if many else _PROTOCOLS.get(kind, 6),
            source=prober.address,
            destination=target,
        ),
        source=prober.address,
        sources=1,
        forgiving=True,
    )


def _signs(
    case: Case, prober: Prober, kind: Kind, *, tried: int, upright: bool, many: bool
) -> Iterator[Sign]:
    probes = sum(prober.probes.values())
    line = f"{probes:,} of its {prober.flows:,} flows are one to three packets that ask"
    yield Sign(name="probes", weight=1, line=line)
    if tried >= _MANY or many:
        addresses = plural(prober.destinations, "address", "addresses")
        what = f"{addresses} and {plural(prober.destination_ports, 'port')}"
        yield Sign(name="tries-many", weight=1, line=f"it tries {what}")
    if upright or many:
        yield Sign(name="many-ports", weight=1, line=f"{prober.destination_ports:,} ports of few addresses")
    elif prober.destinations >= _NEIGHBOURS * prober.networks and not (
        kind is Kind.ECHO and case.conditions.sampled
    ):
        line = f"{prober.destinations / max(prober.networks, 1):.0f} addresses of a /24 each"
        yield Sign(name="neighbours", weight=1, line=line)
    if probes >= _NEVER_TWICE and prober.destinations >= 0.95 * probes:
        line = f"{prober.destinations:,} addresses, and hardly one twice"
        yield Sign(name="never-twice", weight=1, line=line)
    if kind is Kind.ODD:
        yield Sign(name="odd-flags", weight=1, line="with flags that no connection has")
    if kind is Kind.SYN and case.conditions.sampled and prober.probes.get(Kind.SYN, 0) < 0.9 * probes:
        yield Sign(name="mixed", weight=-1, line="among other packets: samples of a busy client")
    if case.both_ways:
        answered = prober.accepted / probes
        if kind is Kind.ECHO and answered > 0.6:  # noqa: PLR2004
            yield Sign(name="answered", weight=-2, line=f"{percent(answered)} of them are answered")
        else:
            line = f"{percent(answered)} of them are answered, {percent(prober.refused / probes)} refused"
            yield Sign(name="mostly-unanswered", weight=1, line=line)
    elif kind in (Kind.UDP, Kind.ECHO, Kind.ACK) and not upright:
        yield Sign(name="answers-unknown", weight=-1, line="whether it is answered cannot be seen here")
