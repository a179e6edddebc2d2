"""One capture before the judge: evidence, conditions and baseline, and what rules ask of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from edgecap.packets.verdict.conditions import Conditions
from edgecap.packets.verdict.evidence import TCP_KINDS, Evidence, Kind, Stream, Target
from edgecap.packets.verdict.intervals import Estimate, count, share
from edgecap.packets.verdict.model import Match, Sign

ENOUGH = 100  # packets; fewer say nothing
_PAIRED = 0.05  # of flows: then the capture holds both directions


@dataclass(frozen=True, slots=True)
class Draft:
    """A vector that a rule suggests. The judge weighs its signs.

    Attributes:
        kind: the vector's.
        title: of the vector, with its target.
        target: whom it goes to; None for scans.
        streams: what it consists of.
        packets: its packets.
        bytes: theirs, on the wire.
        first: the line of evidence that comes first.
        signs: what speaks for and against it.
        match: which packets those are.
        service: of an amplification.
        source: who scans.
        sources: different sources.
        forgiving: whether 100 packets suffice however small their share is.
    """

    kind: str
    title: str
    target: Target | None
    packets: int
    bytes: int
    first: str
    signs: tuple[Sign, ...]
    match: Match
    streams: tuple[Stream, ...] = ()
    service: str = ""
    source: str = ""
    sources: int = 0
    forgiving: bool = False
    where: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged.

    Attributes:
        evidence: of the capture.
        conditions: how its packets came.
        baseline: the evidence of captures that tell what is usual.
    """

    evidence: Evidence
    conditions: Conditions
    baseline: Sequence[Evidence] = ()

    @property
    def both_ways(self) -> bool:
        """Whether the capture holds both directions, so that a missing answer is a sign."""
        found = self.evidence
        if self.conditions.one_way or self.conditions.sampled:
            return False
        return found.paired >= max(4, _PAIRED * found.flows)

    def share(self, packets: int) -> Estimate:
        """Of all packets."""
        return share(packets, self.evidence.packets, sampled=self.conditions.sampled)

    def rate(self, packets: int, evidence: Evidence | None = None) -> Estimate | None:
        """Packets a second over the whole capture; None for less than a millisecond of packets."""
        seconds = (evidence or self.evidence).seconds
        if seconds < 0.001:  # noqa: PLR2004 - the shortest step of a timeline
            return None
        return self.conditions.counted(packets).times(1 / seconds)

    def usual(self, target: Target, kinds: Iterable[Kind], port: int) -> Estimate | None:
        """The rate of such streams to the target in the baseline, over all its captures; None without one."""
        if not self.baseline:
            return None
        wanted = set(kinds)
        packets = sum(
            stream.packets
            for each in self.baseline
            for one in same(each, target)
            for stream in one.streams
            if stream.kind in wanted and stream.port == port
        )
        seconds = sum(max(each.window, each.seconds) for each in self.baseline)
        if seconds <= 0:
            return None
        # Captures differ by more than chance, so the interval is that of samples also where all was kept.
        sampling = self.conditions.sampling if self.conditions.sampled else None
        return count(packets, sampled=True, sampling=sampling).times(1 / seconds)


def streams(target: Target, *kinds: Kind) -> tuple[Stream, ...]:
    """The target's streams of these kinds."""
    return tuple(each for each in target.streams if each.kind in kinds)


def packets_of(found: Iterable[Stream]) -> int:
    """The sum of their packets."""
    return sum(each.packets for each in found)


def tcp(target: Target) -> int:
    """TCP packets to the target."""
    return packets_of(each for each in target.streams if each.kind in TCP_KINDS)


def same(evidence: Evidence, target: Target) -> list[Target]:
    """What another capture has of a target; of a prefix that is not large there, its addresses."""
    found = [each for each in evidence.targets if each.address == target.address]
    if found or not target.is_prefix:
        return found
    network = ip_network(target.address)
    return [each for each in evidence.targets if not each.is_prefix and ip_address(each.address) in network]


def judged_targets(case: Case) -> Iterator[Target]:
    """Addresses, and prefixes in which no address has half of the packets."""
    addresses = [each for each in case.evidence.targets if not each.is_prefix]
    largest = max((each.packets for each in addresses), default=0)
    yield from (each for each in addresses if each.packets >= ENOUGH)
    for each in case.evidence.targets:
        if each.is_prefix and each.packets >= max(ENOUGH, 2 * _largest_in(each, addresses)) and largest:
            yield each


def _largest_in(prefix: Target, addresses: Iterable[Target]) -> int:
    network = ip_network(prefix.address)
    return max((each.packets for each in addresses if ip_address(each.address) in network), default=0)
