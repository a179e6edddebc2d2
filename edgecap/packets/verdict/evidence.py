"""The evidence: what goes to whom, as packets of one kind; who sends to very many; DNS names; tunnels.

It is bounded: of the streams and sources, only the large ones are kept. It is part of a summary, so that
later captures can be compared with it. Counts are of captured packets. Numbers of different values come from
HyperLogLog, and are a few per cent off above some hundred.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from edgecap.packets.verdict.kind import (
    TCP_KINDS as TCP_KINDS,  # noqa: PLC0414 - rules import both from here
)
from edgecap.packets.verdict.kind import (
    Kind as Kind,  # noqa: PLC0414 - likewise
)


class _Record(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Top(_Record):
    """A frequent value."""

    value: int
    packets: int


class Stream(_Record):
    """Packets of one kind to one address, or to one prefix. Of `protocol`, its ports are IP protocols."""

    kind: Kind
    port: int = Field(
        0, description="Of `reply`: the source port. Of `protocol`: its number, 255 for rare ones. Else 0"
    )
    packets: int
    bytes: int
    flows: int = Field(description="Different flows; each has one direction")
    sources: int = Field(description="Different source addresses")
    destinations: int = Field(1, description="Different destination addresses")
    largest_source: int = Field(description="Packets of the source that sent most")
    answered: int = Field(0, description="Packets of flows that have an opposite flow in the capture")
    single: int = Field(0, description="Packets that are the only one of their flow")
    payload: int = Field(0, description="Packets of flows in which a packet carries payload")
    bare: int = Field(0, description="Packets of flows with a SYN that has no TCP options")
    slow: int = Field(0, description="TCP flows that last, carry little, and do not end")
    slow_of_one: int = Field(0, description="The most of them that one source has")
    small: int = Field(
        0, description="Packets of TCP flows without a start or an end whose packets carry a few bytes"
    )
    small_of_one: int = Field(0, description="The most of such flows that one source has")
    top_small_size: Top | None = Field(None, description="The mean size that most of their packets have")
    impossible: int = Field(
        0, description="Packets from addresses that no host has: 0/8, 127/8, 224/3, not 2000::/3"
    )
    networks: int = Field(1, description="Different /16 of the sources; of IPv6, /32")
    odd_ttl: int = Field(0, description="Packets whose TTL no common system has left after 40 hops")
    low_ttl: int = Field(0, description="Packets with a TTL of 64 or less")
    no_options: int = Field(
        0,
        description="Those of them in TCP flows with an ACK that has no options, and is neither SYN nor RST",
    )
    ttls: int = Field(1, description="Different TTLs")
    top_ttl: Top | None = None
    sizes: int = Field(1, description="Different mean sizes of flows")
    top_size: Top | None = None
    source_ports: int = 0
    top_source_ports: tuple[Top, ...] = ()
    destination_ports: int = 0
    top_destination_ports: tuple[Top, ...] = ()
    port_spread: tuple[int, ...] = Field(
        (), description="Packets by destination port, in eight ranges of 8,192 ports"
    )

    @property
    def mean_size(self) -> float:
        """Bytes of a packet on the wire."""
        return self.bytes / self.packets if self.packets else 0.0


class Target(_Record):
    """An address, or a prefix, and what is sent to it."""

    address: str = Field(description="Such as 203.0.113.7, or 203.0.113.0/24")
    packets: int
    bytes: int
    sent: int = Field(0, description="Packets that come from it")
    streams: tuple[Stream, ...]

    @property
    def is_prefix(self) -> bool:
        """Whether it is more than one address."""
        return "/" in self.address


class Prober(_Record):
    """A source with many flows, most of which look like questions of a scan."""

    address: str
    packets: int
    flows: int
    destinations: int
    destination_ports: int
    networks: int = Field(description="Different /24 of the destinations; of IPv6, /64")
    top_destination: str = ""
    top_destination_packets: int = 0
    source_ports: int = 0
    top_destination_ports: tuple[Top, ...] = ()
    probes: dict[str, int] = Field(
        default_factory=dict,
        description="Flows by kind of which nothing but one or two packets was seen, and which are no answer",
    )
    protocols: int = Field(0, description="Different IP protocols")
    accepted: int = Field(0, description="Of its probes, those that were answered, other than by a refusal")
    refused: int = Field(0, description="Of its probes, those answered with RST")
    answering: int = Field(0, description="Flows that answer another")
    slow: int = Field(0, description="TCP flows that last, carry little, and do not end")


class Balance(_Record):
    """Packets from and to a UDP port that reflection abuses, in the whole capture."""

    port: int
    answers: int
    answer_bytes: int
    questions: int
    question_bytes: int


class Domain(_Record):
    """DNS queries for names below one domain."""

    name: str
    queries: int
    names: int = Field(description="Different names")


class Dns(_Record):
    """DNS over UDP."""

    queries: int = 0
    named: int = Field(0, description="Queries whose name was captured")
    names: int = Field(0, description="Different names")
    answers: int = 0
    failed: int = Field(0, description="Answers that say that there is no such name")
    domains: tuple[Domain, ...] = ()


class TunnelEnd(_Record):
    """Where tunnels go to."""

    address: str
    packets: int


class Tunnelled(_Record):
    """Packets in tunnels; streams are of what they carry."""

    protocol: int
    packets: int
    sources: int = Field(description="Different outer sources")
    flows: int = Field(description="Different flows inside")
    destinations: int = Field(description="Different inner destinations")
    ends: tuple[TunnelEnd, ...] = ()


class Evidence(_Record):
    """All that verdicts are made of."""

    packets: int = 0
    bytes: int = 0
    seconds: float = Field(0, description="From the first packet to the last")
    window: float = Field(0, description="Seconds that were asked for; 0: not known")
    paired: int = Field(0, description="Flows that have an opposite flow")
    flows: int = 0
    kinds: dict[str, int] = Field(default_factory=dict, description="Packets by kind")
    targets: tuple[Target, ...] = ()
    probers: tuple[Prober, ...] = ()
    balances: tuple[Balance, ...] = ()
    dns: Dns = Dns()
    tunnelled: Tunnelled | None = None
