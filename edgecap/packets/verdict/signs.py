"""Signs that several rules use: forged sources, missing answers, one packet a flow; and their words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from edgecap.packets.verdict.case import Case, Draft, packets_of
from edgecap.packets.verdict.evidence import Stream, Target
from edgecap.packets.verdict.intervals import Estimate
from edgecap.packets.verdict.model import Match, Sign
from edgecap.units import plural

MANY = 50  # sources
_IMPOSSIBLE = 0.02
_ODD_TTL = 0.2
_ONE_TTL = 0.95
_TOLD = 0.05  # of packets: a smaller port is not told
_UNTOUCHED = frozenset({60, 64, 128, 255})  # as sent: a gateway beside the capture made them
_NETWORKS = 20  # /16 of sources: they are no LAN
_UNANSWERED = 0.05
_ANSWERED = 0.1
_SINGLE = 0.8
_LONG_ENOUGH = 1.0  # seconds: in less, a connection that goes on shows one packet


def spoofing(found: Sequence[Stream]) -> Iterator[Sign]:
    """Sources that are forged: addresses that no host has, TTLs that no path leaves, one path for all."""
    packets = packets_of(found)
    if sum(each.answered for each in found) >= _ANSWERED * packets:
        return  # nobody answers what is forged
    sources = max((each.sources for each in found), default=0)
    networks = max((each.networks for each in found), default=0)
    impossible = sum(each.impossible for each in found)
    if sources >= MANY and impossible >= max(5, _IMPOSSIBLE * packets):
        line = f"{percent(impossible / packets)} come from addresses that no host has: sources are forged"
        yield Sign(name="forged-sources", weight=2, line=line)
    odd = sum(each.odd_ttl for each in found)
    if sources >= MANY and networks >= _NETWORKS and odd >= _ODD_TTL * packets:
        line = f"{percent(odd / packets)} arrive with a TTL that no common system leaves: TTLs are made up"
        yield Sign(name="forged-ttl", weight=2, line=line)
    top = sum(each.top_ttl.packets for each in found if each.top_ttl and each.top_ttl.value == _ttl(found))
    hops = _ttl(found) not in _UNTOUCHED
    if hops and sources >= MANY and networks >= _NETWORKS and top >= _ONE_TTL * packets:
        line = (
            f"{percent(top / packets)} arrive with TTL {_ttl(found)}, from {networks:,} networks: one origin"
        )
        yield Sign(name="one-ttl", weight=2, line=line)


def _ttl(found: Sequence[Stream]) -> int:
    largest = max(found, key=lambda each: each.packets)
    return largest.top_ttl.value if largest.top_ttl else 0


def unanswered(case: Case, found: Sequence[Stream]) -> Iterator[Sign]:
    """No answers, where the capture would hold them."""
    packets, answered = packets_of(found), sum(each.answered for each in found)
    if case.both_ways and answered <= _UNANSWERED * packets:
        what = "none" if not answered else f"only {percent(answered / packets)}"
        line = f"the capture holds both directions, and {what} of them is answered"
        yield Sign(name="unanswered", weight=2, line=line)


def no_connections(case: Case, found: Sequence[Stream]) -> Iterator[Sign]:
    """Flows of one packet. In samples, every flow has about one."""
    packets, single = packets_of(found), sum(each.single for each in found)
    long_enough = case.evidence.seconds >= _LONG_ENOUGH and not case.conditions.cut
    if not case.conditions.sampled and long_enough and single >= _SINGLE * packets:
        flows = sum(each.flows for each in found)
        line = f"{packets / max(flows, 1):.1f} packets in a flow: no connections"
        yield Sign(name="single-packets", weight=2, line=line)


def many_sources(found: Sequence[Stream], least: int = MANY, weight: int = 1) -> Iterator[Sign]:
    """So many sources that it is no conversation."""
    sources = max((each.sources for each in found), default=0)
    if sources >= least:
        yield Sign(name="many-sources", weight=weight, line=f"from {sources:,} sources")


def fast(case: Case, packets: int, *, least: float, weight: int = 1) -> Iterator[Sign]:
    """A rate that few services have. That of samples is not known, unless the sampling is."""
    if case.conditions.sampled and case.conditions.sampling is None:
        return
    rate = case.rate(packets)
    if rate and rate.low >= least:
        line = f"{interval(rate)} packets/s: few services have so many"
        yield Sign(name="fast", weight=weight, line=line)


def where(target: Target | None, found: Sequence[Stream]) -> Iterator[str]:
    """Who sends, and to which ports."""
    packets = packets_of(found)
    if not packets:
        return
    largest = max(found, key=lambda each: each.packets)
    if largest.sources > 1:
        most = percent(largest.largest_source / largest.packets)
        yield f"{largest.sources:,} sources in {largest.networks:,} networks; the busiest sent {most}"
    if target and target.is_prefix:
        yield f"to {largest.destinations:,} addresses of {target.address}"
    if largest.destination_ports:
        ports = ", ".join(
            f"{each.value} ({percent(each.packets / largest.packets)})"
            for each in largest.top_destination_ports
            if each.packets >= _TOLD * largest.packets
        )
        told = plural(largest.destination_ports, "destination port")
        yield f"{told}: {ports}" if ports else told


def drafted(
    target: Target,
    found: Sequence[Stream],
    *,
    kind: str,
    title: str,
    first: str,
    signs: Iterable[Sign],
    match: Match,
    forgiving: bool = False,
) -> Draft:
    """A vector that consists of streams to a target: its numbers are theirs.

    Args:
        target: an address or a prefix.
        found: not empty.
        kind: the vector's.
        title: of the vector, with its target.
        first: the line of evidence that comes first.
        signs: what speaks for and against it.
        match: which packets those are.
        forgiving: as in `Draft`.
    """
    return Draft(
        kind=kind,
        title=title,
        target=target,
        packets=packets_of(found),
        bytes=sum(each.bytes for each in found),
        first=first,
        signs=tuple(signs),
        match=match,
        streams=tuple(found),
        sources=max(each.sources for each in found),
        forgiving=forgiving,
        where=tuple(where(target, found)),
    )


def port_share(found: Iterable[Stream]) -> tuple[int, float]:
    """The destination port that gets most packets, and its share of those with a port."""
    sums: dict[int, int] = {}
    packets = 0
    for each in found:
        packets += each.packets
        for top in each.top_destination_ports:
            sums[top.value] = sums.get(top.value, 0) + top.packets
    if not sums or not packets:
        return 0, 0.0
    best = max(sums, key=lambda port: sums[port])
    return best, sums[best] / packets


def on(target: Target, port: int = 0) -> str:
    """Such as ` on 203.0.113.7 port 443`."""
    return f" on {target.address}" + (f" port {port}" if port else "")


def percent(share: float) -> str:
    """Such as `97 %`; less than all is never shown as 100 %."""
    value = share * 100
    if 0 < value < 1:
        return f"{value:.1f} %"
    return f"{min(round(value), 99) if share < 1 else 100} %"


def number(value: float) -> str:
    """Such as `12,000` or `3.4`."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"  # noqa: PLR2004 - two digits are enough


def rounded(value: float) -> float:
    """To three digits."""
    return float(f"{value:.3g}")


def interval(rate: Estimate) -> str:
    """Such as `12,000 to 15,000`, or one number if it is exact."""
    if rate.exact:
        return number(rounded(rate.value))
    return f"{number(rounded(rate.low))} to {number(rounded(rate.high))}"


def one_in(sampling: Estimate) -> str:
    """Such as `1 in 950 to 1,060 (95 %)`."""
    low, high = rounded(sampling.low), rounded(sampling.high)
    return f"1 in {low:{_digits(low)}} to {high:{_digits(high)}} (95 %)"


def _digits(value: float) -> str:
    return ",.0f" if value >= 100 else ".3g"  # noqa: PLR2004 - three digits
