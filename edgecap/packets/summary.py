"""The numbers of a capture's packets: the model of `summary.json`.

Counts are of captured packets; in a simple capture, those are samples. Bytes are those on the wire, unless a
name says otherwise. Addresses, ports and protocols are the innermost ones if there are tunnels. Times are
aware, UTC. Lists are sorted, the largest first.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from edgecap.packets.residual import Residual
from edgecap.packets.verdict.conditions import Conditions
from edgecap.packets.verdict.evidence import Evidence
from edgecap.packets.verdict.intervals import Estimate
from edgecap.packets.verdict.model import Baseline, Strength, Vector
from edgecap.packets.verdict.signs import one_in

FORMAT = "edgecap-summary/2"
TOP = 50  # entries of a list of the largest

Share = Annotated[float, Field(ge=0, le=1, description="Part of all packets, 0 to 1")]


class _Record(BaseModel):
    # Fields of newer versions are kept, and do not stop this version from reading.
    model_config = ConfigDict(extra="allow", frozen=True)


class Named(_Record):
    """Packets of one kind: a protocol, a combination of TCP flags, an ICMP type, an EtherType."""

    name: str = Field(description="Such as tcp, SYN+ACK, echo request, arp")
    number: int | None = Field(
        None, description="The protocol's, flags' or type's number; a tunnel's from 240 on is edgecap's own"
    )
    packets: int
    bytes: int
    share: Share


class Talker(_Record):
    """An address, and its packets in one direction."""

    address: str
    packets: int
    bytes: int
    flows: int
    share: Share


class Talkers(_Record):
    """The addresses on one side."""

    distinct: int = Field(description="How many different ones there are")
    exact: bool = Field(
        True,
        description="False: there were too many to count each; numbers are estimates, and small ones low",
    )
    top: tuple[Talker, ...] = ()


class Port(_Record):
    """A TCP or UDP port, on one side."""

    protocol: Literal["tcp", "udp"]
    port: int
    service: str = Field(
        "", description="What usually uses it, such as dns; empty if nothing well known does"
    )
    packets: int
    bytes: int
    share: Share


class Ports(_Record):
    """The ports on one side."""

    distinct: int = Field(description="How many different ones there are, TCP and UDP counted apart")
    top: tuple[Port, ...] = ()


class Flow(_Record):
    """Packets of one direction between two endpoints."""

    community_id: str = Field(description="Community ID 1.0 with seed 0; the same for both directions")
    protocol: int = Field(description="IP protocol number")
    source: str
    source_port: int
    destination: str
    destination_port: int
    packets: int
    bytes: int
    first: AwareDatetime | None = Field(description="Null: none of its packets has a time")
    last: AwareDatetime | None


class Flows(_Record):
    """Flows: same protocol, addresses and ports, one direction. All of them are in `flows.parquet`."""

    records: int = Field(description="Rows of the flow table")
    distinct: int = Field(0, description="How many different ones there are; an estimate if not `exact`")
    exact: bool = Field(
        True, description="False: there were too many to hold; one that went on long has several rows"
    )
    top: tuple[Flow, ...] = Field((), description="By bytes")


class Size(_Record):
    """Packets of similar size on the wire."""

    least: int = Field(description="Bytes, inclusive")
    most: int | None = Field(None, description="Bytes, inclusive; null: no limit")
    packets: int
    share: Share


class Sizes(_Record):
    """Sizes of packets on the wire, in bytes."""

    smallest: int = 0
    largest: int = 0
    mean: float = 0
    buckets: tuple[Size, ...] = ()


class Ttl(_Record):
    """A value of IPv4's time to live or IPv6's hop limit, on arrival."""

    ttl: int
    packets: int
    share: Share


class Ttls(_Record):
    """The spread of times to live. Real hosts are at many distances; one that spoofs often is not."""

    distinct: int = 0
    lowest: int | None = None
    highest: int | None = None
    top: tuple[Ttl, ...] = ()


class Rates(_Record):
    """Rates per second. Zero for less than a millisecond of packets."""

    packets: float = Field(0, description="Packets a second, on average")
    bits: float = Field(0, description="Bits a second, on average")
    packets_estimate: Estimate | None = Field(
        None, description="Packets a second that passed, of which samples were kept; null: all were kept"
    )
    bits_estimate: Estimate | None = Field(None, description="Bits a second, likewise")
    peak_estimate: Estimate | None = Field(None, description="Most packets a second, likewise")
    peak_packets: float = Field(0, description="Most packets a second, over `peak_seconds`")
    peak_bits: float = Field(0, description="Bits a second where they were most, over `peak_seconds`")
    peak_at: AwareDatetime | None = Field(None, description="Where the peak of packets begins")
    peak_seconds: float = Field(1, description="Over how long the peaks are taken")


class Timeline(_Record):
    """Counts over time, in equal steps without a gap. All lists are equally long."""

    start: AwareDatetime | None = Field(None, description="When the first step begins")
    seconds: float = Field(1, description="Length of a step")
    packets: tuple[int, ...] = ()
    bytes: tuple[int, ...] = ()
    tcp: tuple[int, ...] = Field((), description="Packets")
    udp: tuple[int, ...] = Field((), description="Packets")
    icmp: tuple[int, ...] = Field((), description="Packets, ICMPv6 too")
    other: tuple[int, ...] = Field((), description="Packets of any other kind")


class Fragments(_Record):
    """IP fragments."""

    packets: int = 0
    later: int = Field(0, description="Those of them that are not a first one, and so have no ports")
    share: Share = 0


class Tunnels(_Record):
    """Packets in a tunnel, by its outermost kind; also those behind MPLS labels and in PPPoE."""

    packets: int = 0
    kinds: tuple[Named, ...] = ()


class Amplification(_Record):
    """Packets from a UDP port whose service answers short queries with long answers."""

    service: str
    port: int
    packets: int
    bytes: int
    share: Share
    mean_size: float = Field(description="Bytes of a packet, on average")


class Change(_Record):
    """A difference from the captures before."""

    kind: Literal[
        "new-source", "new-destination", "new-source-port", "new-destination-port", "mix", "rate", "size"
    ]
    what: str = Field(description="The address, port, protocol or measure")
    now: float = Field(description="Its share of packets, or the measure's value")
    before: float = Field(
        description="Likewise, on average over the captures before; 0 for what was not among the largest"
    )
    line: str = Field(description="In words")


class Difference(_Record):
    """How it differs from the last captures of the same schedule."""

    series: str = Field(description="What is compared: the schedule's deployment and what it asks for")
    captures: tuple[str, ...] = Field(description="Ids of those compared with, newest first")
    verdict: str = Field(description="One line")
    changes: tuple[Change, ...] = ()


class SourceFile(_Record):
    """One source file of the packets."""

    name: str = Field(description="The file, such as raw/ord02-s1.pcap")
    packets: int
    bytes: int
    share: Share
    damage: str = Field("", description="What of it could not be read; empty if nothing")
    notes: tuple[str, ...] = Field((), description="What to know about its packets' times and lengths")


class SampledCapture(_Record):
    """A sampled capture of the same time and target as a full one."""

    capture: str = Field(description="Its id")
    sampling: Estimate = Field(description="It kept one packet in so many")
    both: int = Field(description="Packets that both hold, from which that is estimated")
    packets: int = Field(description="Packets of the full capture that the sampled one could hold")

    @property
    def line(self) -> str:
        """In words."""
        return (
            f"Simple capture {self.capture[:8]} kept {one_in(self.sampling)} of the packets here: "
            f"{self.both:,} of {self.packets:,} are in both."
        )


class Summary(_Record):
    """The numbers of a capture's packets."""

    format: str = Field(FORMAT, pattern=r"^edgecap-summary/\d+$")
    verdict: str = Field(description="One line: what it looks like")
    strength: Strength = Field("nothing", description="Of the strongest vector; nothing: there is none")
    vectors: tuple[Vector, ...] = Field(
        (), description="The ways in which an attack or a scan sends packets, the most likely first"
    )
    caveats: tuple[str, ...] = Field((), description="What limits the verdict, a line each")
    conditions: Conditions = Conditions()
    baseline: Baseline | None = Field(
        None, description="What the verdict was compared with; null: nothing was there"
    )
    sampled_captures: tuple[SampledCapture, ...] = Field(
        (), description="Of a full capture: sampled ones of the same time, with the sampling that follows"
    )
    difference: Difference | None = Field(None, description="Null: there is nothing to compare with")
    sampled: bool = Field(False, description="Packets are samples: true for simple captures")
    packets: int = 0
    bytes: int = Field(0, description="On the wire")
    bytes_captured: int = Field(0, description="Kept of them")
    first: AwareDatetime | None = None
    last: AwareDatetime | None = None
    seconds: float = Field(0, description="From the first packet to the last")
    rates: Rates = Rates()
    versions: tuple[Named, ...] = Field(
        (), description="ipv4, ipv6, what is not IP by its EtherType, and link types that are not understood"
    )
    protocols: tuple[Named, ...] = Field((), description="IP protocols")
    sources: Talkers = Talkers(distinct=0)
    destinations: Talkers = Talkers(distinct=0)
    source_ports: Ports = Ports(distinct=0)
    destination_ports: Ports = Ports(distinct=0)
    amplification: tuple[Amplification, ...] = Field((), description="Services that reflection attacks abuse")
    flows: Flows = Flows(records=0)
    tcp_flags: tuple[Named, ...] = Field(
        (), description="Combinations of flags, with their share of all packets"
    )
    icmp: tuple[Named, ...] = Field((), description="ICMP and ICMPv6 types")
    sizes: Sizes = Sizes()
    ttls: Ttls = Ttls()
    fragments: Fragments = Fragments()
    tunnels: Tunnels = Tunnels()
    vlans: tuple[int, ...] = Field((), description="VLAN numbers of outer tags, the most frequent first")
    timeline: Timeline = Timeline()
    files: tuple[SourceFile, ...] = ()
    residual: Residual | None = Field(None, description="Null: nothing was filtered after the download")
    evidence: Evidence | None = Field(
        None, description="What the verdict is made of; null in summaries of older versions"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_older_versions(cls, data: Any) -> Any:
        """Findings of the first format become vectors, with what they have."""
        if not isinstance(data, dict) or "findings" not in data or "vectors" in data:
            return data
        found = data["findings"]
        vectors = [
            {**each, "strength": each.get("likelihood", "possible")}
            for each in (found if isinstance(found, list | tuple) else ())
            if isinstance(each, dict)
        ]
        strength = "nothing"
        if vectors:
            strength = "likely" if any(each["strength"] == "likely" for each in vectors) else "possible"
        rest = {name: value for name, value in data.items() if name != "findings"}
        return {**rest, "vectors": vectors, "strength": strength}


def summary_schema() -> str:
    """The JSON schema of a summary, for `docs/summary.schema.json`."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Summary.model_json_schema(mode="serialization"),
    }
    return json.dumps(schema, indent=2) + "\n"
