"""Amplification by every service of the list, floods of UDP and fragments, and queries for random names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgecap.packets.verdict.case import ENOUGH, Case, Draft, packets_of, streams
from edgecap.packets.verdict.evidence import Balance, Domain, Kind, Stream, Target
from edgecap.packets.verdict.model import POSSIBLE, Match, Sign
from edgecap.packets.verdict.services import AMPLIFIERS, TCP_ONLY, Service
from edgecap.packets.verdict.signs import (
    MANY,
    drafted,
    fast,
    many_sources,
    on,
    percent,
    port_share,
    spoofing,
    unanswered,
    where,
)

_UDP, _DNS = 17, 53
_PART = 0.05  # of packets or bytes: a smaller vector of several is noise
_REFLECTORS = 15
_SERVERS = 3
_OF_ONE_PORT = 0.15  # of a stream's packets: clients have many ports
_ONE_PORT = 0.7
_WELL_KNOWN = 1_024
_BALANCED = 0.3  # questions for an answer
_ALL_RANGES = 0.02
_RANGES = 8  # of destination ports
_SEVERAL = 200  # ports
_FEW_PORTS = 0.9
_HUNDREDS = 500  # sources
_OF_MANY = frozenset({53, 443})  # services of which one client asks hundreds of servers
_FIXED_SIZE = 0.95
_LONG = 300  # bytes on the wire
_FEW_CLIENTS = 5
_FRAGMENTS = 45  # later fragments of the longest datagram


def udp_rules(case: Case, target: Target, scanned: int) -> Iterator[Draft]:
    """Vectors of UDP, and of fragments, to a target."""
    replies = [each for each in streams(target, Kind.REPLY) if each.port in AMPLIFIERS]
    replies += _mistaken(target, {each.port for each in replies})
    drafts = [draft for each in replies for draft in _reflection(case, target, each)]
    yield from drafts
    reflected = sum(draft.packets for draft in drafts if sum(each.weight for each in draft.signs) >= POSSIBLE)
    yield from _flood(case, target, scanned, reflected)
    yield from _fragments(case, target, reflected)


def _mistaken(target: Target, known: set[int]) -> Iterator[Stream]:
    """Replies that look like questions one by one: from one high port to a port of another service."""
    for each in streams(target, Kind.UDP):
        to = {port.value for port in each.top_destination_ports}
        for top in each.top_source_ports:
            service, share = AMPLIFIERS.get(top.value), top.packets / each.packets
            if service is None or top.value in known or (service.mutual and top.value in to):
                continue
            if share >= _OF_ONE_PORT and each.sources >= _REFLECTORS:
                rest = each.packets - top.packets
                part = {"packets": top.packets, "bytes": int(each.bytes * share), "port": top.value}
                part["answered"] = max(0, each.answered - rest)
                yield each.model_copy(update={"kind": Kind.REPLY, **part})


def _reflection(case: Case, target: Target, stream: Stream) -> Iterator[Draft]:
    service = AMPLIFIERS[stream.port]
    evidence = case.evidence
    large = stream.bytes >= _PART * max(evidence.bytes, 1)
    if stream.packets < ENOUGH or not (large or stream.packets >= _PART * evidence.packets):
        return
    later = streams(target, Kind.FRAGMENT)
    signs = list(_sizes(case, stream, service, later))
    port, share = port_share([stream])
    if stream.sources >= _REFLECTORS and not case.conditions.fixes("destination-port"):
        few = sum(each.packets for each in stream.top_destination_ports) / stream.packets
        if few >= _FEW_PORTS and not (service.mutual and port == stream.port):
            ports = ", ".join(str(each.value) for each in stream.top_destination_ports)
            line = (
                f"{percent(few)} go to port {ports}: nobody asks {stream.sources:,} servers from so few ports"
            )
            signs.append(Sign(name="few-ports", weight=1, line=line))
        elif (
            stream.port not in _OF_MANY
            and stream.destination_ports >= _SEVERAL
            and min(_low_high(stream)) >= _ALL_RANGES
        ):
            line = f"to {stream.destination_ports:,} ports of all ranges; systems ask from high ones"
            signs.append(Sign(name="all-ports", weight=1, line=line))
    if port < _WELL_KNOWN and share >= _ONE_PORT and port != stream.port:
        signs.append(Sign(name="service-port", weight=1, line=f"to port {port}, from which no client asks"))
    many = stream.sources >= _HUNDREDS and stream.port not in _OF_MANY
    signs += many_sources([stream], least=_REFLECTORS, weight=2 if many else 1)
    top = stream.top_size
    if top and stream.sources >= MANY and top.packets >= _FIXED_SIZE * stream.packets:
        line = f"{percent(top.packets / stream.packets)} have {top.value} bytes"
        signs.append(Sign(name="one-size", weight=1, line=line))
    if signs:
        signs += spoofing([stream])
    signs += _asked(case, target, stream, service)
    fragments = packets_of(later) if stream.port == _DNS or large else 0
    yield Draft(
        kind="amplification",
        service=service.name,
        title=f"{service.name} amplification{on(target, port if share >= _ONE_PORT else 0)}",
        target=target,
        packets=stream.packets + fragments,
        bytes=stream.bytes + sum(each.bytes for each in later if fragments),
        first=f"{stream.packets:,} packets from UDP port {stream.port} ({service.name}): "
        f"{percent(stream.packets / evidence.packets)} of all packets, "
        f"{percent(stream.bytes / max(evidence.bytes, 1))} of all bytes, {stream.mean_size:,.0f} bytes each",
        signs=tuple(signs),
        match=Match(
            kinds=(Kind.REPLY, *((Kind.FRAGMENT,) if fragments else ())),
            protocol=_UDP,
            destination=target.address,
            source_port=stream.port,
        ),
        streams=(stream,),
        sources=stream.sources,
        where=tuple(where(target, [stream])),
    )


def _sizes(case: Case, stream: Stream, service: Service, later: Sequence[Stream]) -> Iterator[Sign]:
    """Answers that are longer than everyday ones."""
    if case.conditions.fixes("size"):
        return
    mean = stream.mean_size
    if not service.usual:
        line = f"nobody uses {service.name} across the Internet"
        yield Sign(name="unused-service", weight=2, line=line)
    elif mean > service.usual:
        line = f"{mean:,.0f} bytes each; everyday answers have less than {service.usual}"
        # Of one server it may be a long answer; of several it is what they are abused for.
        yield Sign(name="long-answers", weight=2 if stream.sources >= _SERVERS else 1, line=line)
    fragments = packets_of(later)
    if fragments >= max(20, 0.2 * stream.packets) and service.usual < _WELL_KNOWN:
        line = f"{fragments:,} fragments beside them: answers longer than a packet"
        yield Sign(name="fragments", weight=2 if mean <= service.usual else 1, line=line)


def _asked(case: Case, target: Target, stream: Stream, service: Service) -> Iterator[Sign]:
    """Whether somebody asked for these answers."""
    if stream.answered >= _BALANCED * stream.packets:
        line = f"{percent(stream.answered / stream.packets)} answer something that {target.address} asked"
        yield Sign(name="asked-for", weight=-4, line=line)
        return
    balance = next((each for each in case.evidence.balances if each.port == stream.port), None)
    if balance and not service.mutual and balance.questions >= _BALANCED * balance.answers:
        if _short(balance, service):
            line = f"{balance.questions:,} questions and {balance.answers:,} answers: balanced"
            yield Sign(name="balanced", weight=-4, line=line)
        return
    if case.both_ways:
        yield from unanswered(case, [stream])


def _short(balance: Balance, service: Service) -> bool:
    """Whether answers are as long as everyday ones, compared with their questions."""
    question = balance.question_bytes / max(balance.questions, 1)
    answer = balance.answer_bytes / max(balance.answers, 1)
    return answer <= max(10 * question, service.usual)


def _low_high(stream: Stream) -> tuple[float, float]:
    """Share of packets to ports below 8,192, and of those to ports from 57,344 on."""
    if len(stream.port_spread) != _RANGES or not sum(stream.port_spread):
        return 0.0, 0.0
    whole = sum(stream.port_spread)
    return stream.port_spread[0] / whole, stream.port_spread[-1] / whole


def _flood(case: Case, target: Target, scanned: int, reflected: int) -> Iterator[Draft]:
    found = streams(target, Kind.UDP)
    packets = packets_of(found)
    if packets < ENOUGH or scanned >= packets / 2 or packets < _PART * case.evidence.packets:
        return
    stream = found[0]
    if packets < 0.5 * reflected:
        return
    port, share = port_share(found)
    signs: list[Sign] = []
    all_ranges = bool(stream.port_spread) and min(_low_high(stream)) >= 0.04  # noqa: PLR2004
    if stream.destination_ports >= _SEVERAL and all_ranges and share < 0.2:  # noqa: PLR2004
        line = f"to {stream.destination_ports:,} ports of all ranges: no service has as many"
        signs.append(Sign(name="all-ports", weight=2, line=line))
    if (
        share >= _ONE_PORT
        and (port in TCP_ONLY or not port)
        and not case.conditions.fixes("destination-port")
    ):
        signs.append(Sign(name="no-service", weight=1, line=f"to UDP port {port}, where no service is"))
    top = stream.top_size
    if (
        top
        and stream.sources >= MANY
        and top.packets >= _FIXED_SIZE * packets
        and not case.conditions.fixes("size")
    ):
        # Questions and keepalives are short, and may all be alike; what clients send at length never is.
        weight = 2 if top.value >= _LONG else 1
        line = f"{percent(top.packets / packets)} have {top.value} bytes, from {stream.sources:,} sources"
        signs.append(Sign(name="one-size", weight=weight, line=line))
    signs += spoofing(found)
    if stream.sources >= _REFLECTORS or packets >= 1_000:  # noqa: PLR2004 - of one client it is a stream
        signs += unanswered(case, found)
    signs += fast(case, packets, least=100_000)
    signs += _names(case, stream, port, share)
    torture = any(each.name == "random-names" for each in signs)
    kind, name = ("dns-random-names", "DNS water torture") if torture else ("udp-flood", "UDP flood")
    if torture and (worst := _worst_domain(case)):
        name += f" of {worst.name}"
    yield drafted(
        target,
        found,
        kind=kind,
        title=f"{name}{on(target, port if share >= _ONE_PORT else 0)}",
        first=f"{packets:,} UDP packets: {percent(packets / case.evidence.packets)} of all, "
        f"{stream.mean_size:,.0f} bytes each",
        signs=signs,
        match=Match(
            kinds=(Kind.UDP,),
            protocol=_UDP,
            destination=target.address,
            destination_port=port if share >= _ONE_PORT else None,
        ),
    )


def _worst_domain(case: Case) -> Domain | None:
    return case.evidence.dns.domains[0] if case.evidence.dns.domains else None


def _names(case: Case, stream: Stream, port: int, share: float) -> Iterator[Sign]:
    """Names of one domain, each asked for once: no cache has them, so all reach its name servers."""
    dns, worst = case.evidence.dns, _worst_domain(case)
    if port != _DNS or share < 0.5 or worst is None or worst.queries < ENOUGH:  # noqa: PLR2004
        return
    if stream.sources < _FEW_CLIENTS and not dns.failed:
        return  # a tunnel through DNS has such names, too
    if worst.queries >= 0.5 * dns.named and worst.names >= 0.85 * worst.queries:
        line = f"{worst.queries:,} queries below {worst.name} for {worst.names:,} different names"
        yield Sign(name="random-names", weight=2, line=line)
        if dns.failed >= 0.5 * max(dns.answers, 20):
            line = f"{dns.failed:,} of {dns.answers:,} answers say that there is no such name"
            yield Sign(name="no-such-name", weight=1, line=line)


def _fragments(case: Case, target: Target, reflected: int) -> Iterator[Draft]:
    found = streams(target, Kind.FRAGMENT)
    packets = packets_of(found)
    if packets < ENOUGH or reflected >= packets / _FRAGMENTS or packets < 0.2 * case.evidence.packets:
        return
    stream = found[0]
    signs: list[Sign] = []
    # A first fragment has its ports, so it is counted with its protocol.
    others = target.packets - packets
    if not case.conditions.fixes("fragments", "source-port", "destination-port"):
        if others * _FRAGMENTS < packets:
            line = f"{others:,} other packets: later fragments without their first ones"
            signs.append(Sign(name="no-first", weight=2, line=line))
        elif packets >= 0.5 * target.packets and stream.sources >= _REFLECTORS:
            line = (
                f"{percent(packets / target.packets)} of all packets to {target.address} are later fragments"
            )
            signs.append(Sign(name="mostly-fragments", weight=1, line=line))
    if stream.mean_size < 300 and not case.conditions.fixes("size"):  # noqa: PLR2004
        line = f"{stream.mean_size:,.0f} bytes each; fragments are as long as a link allows"
        signs.append(Sign(name="short-fragments", weight=1, line=line))
    signs += many_sources(found, least=_REFLECTORS)
    signs += spoofing(found)
    signs += fast(case, packets, least=50_000)
    yield drafted(
        target,
        found,
        kind="fragment-flood",
        title=f"fragment flood{on(target)}",
        first=f"{packets:,} fragments without a header of their own: "
        f"{percent(packets / case.evidence.packets)} of all",
        signs=signs,
        match=Match(kinds=(Kind.FRAGMENT,), destination=target.address),
    )
