"""The likely kind of attack, with the numbers that suggest it.

Rules of thumb, one function each, on shares rather than rates: a simple capture holds samples, and a high
rate for one network is low for another. They point at things to check, and prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgecap.packets.names import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG
from edgecap.packets.summary import Finding, Named, Summary, Talker
from edgecap.units import plural

ENOUGH = 100  # packets; fewer say nothing
_MOSTLY = 0.5  # of all packets: the capture's main content
_LIKELY = 0.8
_FLOODED = 0.7  # of TCP: real connections have at least as many packets after their SYN
_MUCH = 0.2
_ONE_TARGET = 0.7  # of packets that go to one address: it is the target
_SPREAD = 1.5  # packets per flow: each comes from another port or address
_SCANNED = 100  # endpoints that one source tries
_SEEN = 0.01  # of packets: less is Internet background noise
_LARGE = 400  # bytes: an answer that is deliberately long
_MANY = 100  # sources
# Flags that scanners send: SYN, and those that start no connection (nmap's NULL, FIN and Xmas scans).
_PROBES = (SYN, 0, FIN, FIN | PSH | URG)


def find(summary: Summary) -> tuple[Finding, ...]:
    """The findings, the most likely first; empty if nothing stands out."""
    if summary.packets < ENOUGH:
        return ()
    found = [finding for rule in _RULES for finding in rule(summary)]
    if any(finding.kind == "amplification" for finding in found):
        # Its packets are those of the flood; report them once.
        found = [finding for finding in found if finding.kind not in ("udp-flood", "fragment-flood")]
    return tuple(sorted(found, key=lambda finding: finding.likelihood != "likely"))


def verdict(summary: Summary, findings: tuple[Finding, ...]) -> str:
    """One line for a reader in a hurry."""
    if not summary.packets:
        before = summary.residual.packets if summary.residual else 0
        return f"None of {plural(before, 'packet')} matches the filter." if before else "No packets."
    if findings:
        first = findings[0]
        more = len(findings) - 1
        also = f"; {more} more finding{'s' if more > 1 else ''}" if more else ""
        peak = summary.rates.peak_packets
        sampled = "sampled " if summary.sampled else ""
        rate = f", peak {_number(peak)} {sampled}packets/s" if peak else ""
        return f"{'Likely' if first.likelihood == 'likely' else 'Possibly'} {first.title}{rate}{also}."
    few = summary.packets < ENOUGH
    mix = ", ".join(f"{_percent(each.share)} {each.name}" for each in summary.protocols[:3])
    why = "Too few packets for a verdict" if few else "Nothing stands out"
    return f"{why}: {_count(summary.packets)} packet{'' if summary.packets == 1 else 's'}" + (
        f", {mix}." if mix else "."
    )


def _syn_flood(summary: Summary) -> Iterator[Finding]:
    tcp = _named(summary.protocols, "tcp")
    syn = _flags(summary, lambda flags: flags & (SYN | ACK | RST | FIN) == SYN)
    if not tcp or syn < ENOUGH or syn < _MUCH * summary.packets or syn < _MOSTLY * tcp.packets:
        return
    scanner = _scanner(summary)
    if scanner and scanner.flows >= _MOSTLY * syn:
        return
    likely = syn >= _FLOODED * tcp.packets and syn >= _MOSTLY * summary.packets
    evidence = [
        (
            f"{_count(syn)} packets ask for a connection (SYN without ACK): "
            f"{_part(syn, summary.packets)} of all, {_part(syn, tcp.packets)} of TCP"
        ),
        *_where(summary),
        *_spoofing(summary),
    ]
    yield _finding("syn-flood", f"SYN flood{_on(summary)}", likely=likely, evidence=evidence)


def _tcp_flood(summary: Summary) -> Iterator[Finding]:
    """Floods of other TCP packets: without connections, so hardly any flow has a second packet."""
    tcp = _named(summary.protocols, "tcp")
    if not tcp or tcp.share < _MOSTLY or not summary.flows.distinct:
        return
    in_a_flow = summary.packets / summary.flows.distinct
    for each in summary.tcp_flags[:1]:
        flags = each.number or 0
        plain_syn = flags & (SYN | ACK | RST | FIN) == SYN
        if plain_syn or each.packets < _LIKELY * tcp.packets or in_a_flow > _SPREAD or not _target(summary):
            continue
        evidence = [
            f"{_count(each.packets)} packets with {each.name}: {_part(each.packets, tcp.packets)} of TCP",
            f"{in_a_flow:.1f} packets in a flow: no connections",
            *_where(summary),
            *_spoofing(summary),
        ]
        title = f"TCP {each.name} flood{_on(summary)}"
        yield _finding("tcp-flood", title, likely=summary.sources.distinct >= _MANY, evidence=evidence)


def _amplification(summary: Summary) -> Iterator[Finding]:
    for each in summary.amplification:
        if each.packets < ENOUGH or max(each.share, each.bytes / max(summary.bytes, 1)) < _MUCH:
            continue
        large = each.mean_size >= _LARGE or summary.fragments.share >= _MUCH
        if not large and each.share < _MOSTLY:
            continue
        evidence = [
            (
                f"{_count(each.packets)} packets from UDP port {each.port} ({each.service}): "
                f"{_percent(each.share)} of all packets, {_part(each.bytes, summary.bytes)} of all bytes"
            ),
            f"{each.mean_size:,.0f} bytes each on average",
            *_where(summary),
        ]
        if summary.fragments.packets:
            evidence.append(
                f"{_count(summary.fragments.packets)} fragments ({_percent(summary.fragments.share)}): "
                "answers longer than a packet"
            )
        title = f"{each.service} amplification{_on(summary)}"
        yield _finding("amplification", title, likely=large and each.share >= _MUCH, evidence=evidence)


def _udp_flood(summary: Summary) -> Iterator[Finding]:
    udp = _named(summary.protocols, "udp")
    if not udp or udp.share < _ONE_TARGET or not _target(summary):
        return
    evidence = [
        f"{_count(udp.packets)} UDP packets: {_percent(udp.share)} of all",
        f"{_count(summary.destination_ports.distinct)} destination ports",
        *_where(summary),
    ]
    likely = udp.share >= _LIKELY and summary.sources.distinct >= _MANY
    yield _finding("udp-flood", f"UDP flood{_on(summary)}", likely=likely, evidence=evidence)


def _icmp_flood(summary: Summary) -> Iterator[Finding]:
    packets = sum(each.packets for each in summary.protocols if each.name in ("icmp", "icmp6"))
    if packets < max(ENOUGH, _MOSTLY * summary.packets):
        return
    evidence = [f"{_count(packets)} ICMP packets: {_part(packets, summary.packets)} of all"]
    if summary.icmp:
        evidence.append(f"mostly {summary.icmp[0].name} ({_percent(summary.icmp[0].share)})")
    evidence += _where(summary)
    likely = packets >= _LIKELY * summary.packets and _target(summary) is not None
    yield _finding("icmp-flood", f"ICMP flood{_on(summary)}", likely=likely, evidence=evidence)


def _fragment_flood(summary: Summary) -> Iterator[Finding]:
    later = summary.fragments.later
    if later < max(ENOUGH, _MOSTLY * summary.packets):
        return
    evidence = [
        f"{_count(later)} fragments without a header of their own: {_part(later, summary.packets)} of all",
        *_where(summary),
    ]
    likely = later >= _LIKELY * summary.packets
    yield _finding("fragment-flood", f"fragment flood{_on(summary)}", likely=likely, evidence=evidence)


def _other_protocol(summary: Summary) -> Iterator[Finding]:
    for each in summary.protocols[:1]:
        if each.name in ("tcp", "udp", "icmp", "icmp6") or each.share < _ONE_TARGET or not _target(summary):
            continue
        evidence = [f"{_count(each.packets)} packets of {each.name}: {_percent(each.share)} of all"]
        evidence += _where(summary)
        title = f"{each.name} flood{_on(summary)}"
        yield _finding("protocol-flood", title, likely=False, evidence=evidence)


def _scan(summary: Summary) -> Iterator[Finding]:
    each = _scanner(summary)
    if each is None:
        return
    evidence = [
        (
            f"{each.address} sent {_count(each.packets)} packets in {_count(each.flows)} flows: "
            f"{_percent(each.share)} of all packets"
        ),
        (
            f"{_count(summary.destinations.distinct)} destinations and "
            f"{_count(summary.destination_ports.distinct)} destination ports in all"
        ),
    ]
    yield _finding("scan", f"a scan by {each.address}", likely=each.share >= _MUCH, evidence=evidence)


_RULES: tuple[Callable[[Summary], Iterator[Finding]], ...] = (
    _amplification,
    _syn_flood,
    _tcp_flood,
    _udp_flood,
    _icmp_flood,
    _fragment_flood,
    _other_protocol,
    _scan,
)


def _finding(kind: str, title: str, *, likely: bool, evidence: list[str]) -> Finding:
    return Finding(
        kind=kind, title=title, likelihood="likely" if likely else "possible", evidence=tuple(evidence)
    )


def _named(kinds: tuple[Named, ...], name: str) -> Named | None:
    return next((each for each in kinds if each.name == name), None)


def _flags(summary: Summary, wanted: Callable[[int], bool]) -> int:
    return sum(each.packets for each in summary.tcp_flags if wanted(each.number or 0))


def _scanner(summary: Summary) -> Talker | None:
    """An address that tries many other addresses or ports, once or twice each."""
    probes = _flags(summary, lambda flags: flags & ~(ECE | CWR) in _PROBES)
    probes += sum(each.packets for each in summary.icmp if each.name.startswith("echo request"))
    wide = max(summary.destinations.distinct, summary.destination_ports.distinct)
    if wide < _SCANNED:
        return None  # busy clients of a few services
    if summary.flows.records > _SPREAD * summary.flows.distinct:
        return None  # long flows were counted several times, also in each address's number
    for each in summary.sources.top:
        few = each.packets <= _SPREAD * each.flows
        # A server that answers each client port has as many flows, but nobody sent probes.
        if each.flows >= _SCANNED and few and each.share >= _SEEN and each.flows <= probes / _MOSTLY:
            return each
    return None


def _target(summary: Summary) -> Talker | None:
    """The address to which nearly everything goes."""
    top = summary.destinations.top[:1]
    return top[0] if top and top[0].share >= _ONE_TARGET else None


def _on(summary: Summary) -> str:
    target = _target(summary)
    if target is None:
        return ""
    port = summary.destination_ports.top[:1]
    to = f" port {port[0].port}" if port and port[0].share >= _ONE_TARGET else ""
    return f" on {target.address}{to}"


def _where(summary: Summary) -> Iterator[str]:
    sources, destinations = summary.sources, summary.destinations
    if sources.top:
        about = "" if sources.exact else "about "
        yield (
            f"from {about}{_count(sources.distinct)} source{'' if sources.distinct == 1 else 's'}, "
            f"of which {sources.top[0].address} sent most ({_percent(sources.top[0].share)})"
        )
    if destinations.top:
        yield f"to {destinations.top[0].address} went {_percent(destinations.top[0].share)}"


def _spoofing(summary: Summary) -> Iterator[str]:
    """Real hosts are at many distances; a host that spoofs its sources is at one."""
    top = summary.ttls.top[:1]
    if top and top[0].share >= _LIKELY and summary.sources.distinct >= _MANY:
        yield f"{_percent(top[0].share)} arrived with a TTL of {top[0].ttl}: the sources may be spoofed"


def _part(packets: int, of: int) -> str:
    return _percent(packets / of if of else 0)


def _percent(share: float) -> str:
    percent = share * 100
    if 0 < percent < 1:
        return f"{percent:.1f} %"
    # Less than all is never shown as 100%.
    return f"{min(round(percent), 99) if share < 1 else 100} %"


def _count(number: int) -> str:
    return f"{number:,}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"  # noqa: PLR2004 - two digits are enough
