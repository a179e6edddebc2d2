"""Requests for simple and full captures; the API's documented bounds are settings.

Field names are the API's own, with two exceptions. `bucket` is a *name* from the settings: a destination URI
can hold a secret, and run parameters and forms show requests. `expression` is edgecap's: the API applies the
part that it can (see `edgecap.filters.of_request`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgecap.protocols import protocol_name

SYSTEM = "magic-transit"
COLO = re.compile(r"[A-Za-z]{3}(?:[0-9]{2,3})?")
"""The form of a data centre such as ord02, or of a city such as ORD, which means all of its data centres."""
AUTO = "auto"
"""In place of a data centre: the run chooses it, by what Network Analytics tells (edgecap/analytics)."""
LOOK_BACK = timedelta(hours=24)  # how far back `offset_time` may point (API documentation)
_LONGEST_NAME = 80  # characters of an expression in the name of a run


class Filter(BaseModel):
    """Which packets to keep. Empty fields match everything; the others must all match."""

    model_config = ConfigDict(extra="forbid", title="Filter")

    source_address: str | None = Field(
        None, description="IPv4 address that packets come from, such as 198.51.100.9"
    )
    destination_address: str | None = Field(
        None, description="IPv4 address that packets go to, such as 203.0.113.7"
    )
    source_port: int | None = Field(None, description="TCP or UDP port that packets come from, 0 to 65535")
    destination_port: int | None = Field(None, description="TCP or UDP port that packets go to, 0 to 65535")
    protocol: int | None = Field(
        None, description="IP protocol number: 1 ICMP, 6 TCP, 17 UDP, 47 GRE, 50 ESP"
    )

    def body(self) -> dict[str, Any]:
        """The API's `filter_v1`, without empty fields."""
        return self.model_dump(exclude_none=True)

    @property
    def in_words(self) -> str:
        """For sentences, such as `udp from port 53 to 203.0.113.7`; empty if it matches everything."""
        protocol, ends = protocol_and_ends(self.body())
        return " ".join([*protocol, *ends])

    def __str__(self) -> str:
        """Short form for run names, such as `udp 198.51.100.9:53 > 203.0.113.7` or `everything`."""
        source = _endpoint(self.source_address, self.source_port)
        destination = _endpoint(self.destination_address, self.destination_port)
        parts = [] if self.protocol is None else [protocol_name(self.protocol)]
        if source:
            parts.append(f"{source} >")
        if destination:
            parts.append(destination)
        elif source:
            parts.append("any")
        return " ".join(parts) or "everything"


Expression = Annotated[
    str,
    Field(
        title="Filter expression",
        description="Which packets, as for tcpdump, such as udp and src port 53 and net 203.0.113.0/24; "
        "addresses, not host names. Packets must also match the filter's fields. The API applies what it can "
        "(edgecap explain says what), edgecap applies the rest to the fetched packets",
    ),
]
"""A filter in pcap-filter syntax."""


class SimpleRequest(BaseModel):
    """Sampled packet headers of the recent past in all data centres. One request a minute per account."""

    model_config = ConfigDict(extra="forbid", title="Simple capture")

    type: Literal["simple"] = "simple"
    time_limit: int = Field(60, description="Seconds to look back, 1 to 300")
    packet_limit: int = Field(10_000, description="Packets at most, 1 to 10000")
    offset_time: datetime | None = Field(
        None,
        description="End of the window, with its time zone, at most 24 hours ago. "
        "Empty: the time the run was scheduled for",
    )
    filter: Filter = Field(
        default_factory=Filter, description="Which packets, by the fields that the API filters by"
    )
    expression: Expression = ""

    def __str__(self) -> str:
        """Run name, such as `simple 60s 203.0.113.7:443` or `simple 60s udp src port 53`."""
        return f"simple {self.time_limit}s {_wanted(self.filter, self.expression)}"


class FullRequest(BaseModel):
    """Every packet, whole, at one data centre, from now on. At most one pending or running per account."""

    model_config = ConfigDict(extra="forbid", title="Full capture")

    type: Literal["full"] = "full"
    colo: str = Field(
        description="Data centre such as ord02, or city such as ORD (all its data centres), or auto: where "
        "most of the wanted packets arrive"
    )
    bucket: str = Field(
        "default", description="Name of a bucket in the settings; Cloudflare writes the packets there"
    )
    time_limit: int = Field(60, description="Seconds to capture, 1 to 86400")
    packet_limit: int | None = Field(None, description="Packets at most, 1 to 10000. Empty: no limit")
    byte_limit: int | None = Field(None, description="Bytes at most, 1 to 1000000000. Empty: no limit")
    filter: Filter = Field(
        default_factory=Filter, description="Which packets, by the fields that the API filters by"
    )
    expression: Expression = ""

    @property
    def chooses_place(self) -> bool:
        """Whether its run is to choose the data centre."""
        return self.colo.strip().lower() == AUTO

    def at(self, colo: str) -> FullRequest:
        """The same at a data centre."""
        return self.model_copy(update={"colo": colo})

    def __str__(self) -> str:
        """Run name, such as `full ORD 203.0.113.7:443`."""
        return f"full {self.colo} {_wanted(self.filter, self.expression)}"


CaptureRequest = Annotated[SimpleRequest | FullRequest, Field(discriminator="type")]


class Bounds(BaseModel):
    """The documented limits of requests. They are settings, because the documentation contradicts itself."""

    model_config = ConfigDict(extra="forbid")

    simple_time_limit: int = Field(300, ge=1, description="Seconds")
    full_time_limit: int = Field(86_400, ge=1, description="Seconds; one page of the documentation says 300")
    packet_limit: int = Field(10_000, ge=1)
    byte_limit: int = Field(1_000_000_000, ge=1)
    ipv6_filters: bool = Field(default=False, description="Let IPv6 addresses through to the API")
    cidr_filters: bool = Field(
        default=False, description="Let networks such as 203.0.113.0/24 through to the API"
    )


def rfc3339(moment: datetime) -> str:
    """`moment` in UTC with microseconds and `Z`, as the API writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def protocol_and_ends(fields: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Fields of a filter in words: its protocol, such as `udp`, and its ends, such as `to 203.0.113.7:53`.

    Args:
        fields: as the API has them, perhaps of another version.
    """
    number = fields.get("protocol")
    source = _end(fields.get("source_address"), fields.get("source_port"))
    destination = _end(fields.get("destination_address"), fields.get("destination_port"))
    ends = [f"{word} {end}" for word, end in (("from", source), ("to", destination)) if end]
    return [protocol_name(number)] if isinstance(number, int) else [], ends


def _end(address: Any, port: Any) -> str:
    if address and port is not None:
        return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"
    return str(address or "") or (f"port {port}" if port is not None else "")


def _endpoint(address: str | None, port: int | None) -> str:
    if address and ":" in address and port is not None:
        address = f"[{address}]"
    if port is None:
        return address or ""
    return f"{address or ''}:{port}"


def _wanted(fields: Filter, expression: str) -> str:
    """Fields and expression in a line, `everything` if there are none."""
    words = " ".join(expression.split())
    if len(words) > _LONGEST_NAME:
        words = f"{words[:_LONGEST_NAME].rstrip()}..."
    if not words:
        return str(fields)
    return words if fields == Filter() else f"{fields} and {words}"
