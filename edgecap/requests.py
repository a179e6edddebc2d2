"""What is asked of the API: simple and full captures, with the documented bounds as settings.

Field names are the API's own, except `bucket`, which is a *name* from the settings: a
destination URI can hold a secret, and requests are shown in run parameters and forms.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgecap.errors import InvalidRequest, WindowTooOld

SYSTEM = "magic-transit"
LOOK_BACK = timedelta(hours=24)  # how far back `offset_time` may point (API documentation)
_COLO = re.compile(r"[A-Za-z]{3}(?:[0-9]{2,3})?")


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

    def __str__(self) -> str:
        """Short form for run names, such as `udp 198.51.100.9:53 > 203.0.113.7` or `everything`."""
        names = {1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 58: "icmp6"}
        source = _endpoint(self.source_address, self.source_port)
        destination = _endpoint(self.destination_address, self.destination_port)
        parts = [] if self.protocol is None else [names.get(self.protocol, f"proto {self.protocol}")]
        if source:
            parts.append(f"{source} >")
        if destination:
            parts.append(destination)
        elif source:
            parts.append("any")
        return " ".join(parts) or "everything"


class SimpleRequest(BaseModel):
    """A look back at sampled packet headers in all data centres. One request a minute per account."""

    model_config = ConfigDict(extra="forbid", title="Simple capture")

    type: Literal["simple"] = "simple"
    time_limit: int = Field(60, description="Seconds to look back, 1 to 300")
    packet_limit: int = Field(10_000, description="Packets at most, 1 to 10000")
    offset_time: datetime | None = Field(
        None,
        description="End of the window, with its time zone, at most 24 hours ago. "
        "Empty: the time the run was scheduled for",
    )
    filter: Filter = Field(default_factory=Filter, description="Which packets")

    def __str__(self) -> str:
        """Run name, such as `simple 60s 203.0.113.7:443`."""
        return f"simple {self.time_limit}s {self.filter}"


class FullRequest(BaseModel):
    """Every packet, whole, at one data centre from now on. One pending or running per account."""

    model_config = ConfigDict(extra="forbid", title="Full capture")

    type: Literal["full"] = "full"
    colo: str = Field(description="Data centre such as ord02, or all of a city's such as ORD")
    bucket: str = Field(
        "default", description="Name of a bucket in the settings; Cloudflare writes the packets there"
    )
    time_limit: int = Field(60, description="Seconds to capture, 1 to 86400")
    packet_limit: int | None = Field(None, description="Packets at most, 1 to 10000. Empty: no limit")
    byte_limit: int | None = Field(None, description="Bytes at most, 1 to 1000000000. Empty: no limit")
    filter: Filter = Field(default_factory=Filter, description="Which packets")

    def __str__(self) -> str:
        """Run name, such as `full ORD 203.0.113.7:443`."""
        return f"full {self.colo} {self.filter}"


CaptureRequest = Annotated[SimpleRequest | FullRequest, Field(discriminator="type")]


class Bounds(BaseModel):
    """The documented limits of requests. Settings, since the documentation contradicts itself on some."""

    model_config = ConfigDict(extra="forbid")

    simple_time_limit: int = Field(300, ge=1, description="Seconds")
    full_time_limit: int = Field(86_400, ge=1, description="Seconds; one page of the documentation says 300")
    packet_limit: int = Field(10_000, ge=1)
    byte_limit: int = Field(1_000_000_000, ge=1)
    ipv6_filters: bool = Field(default=False, description="Let IPv6 addresses through to the API")
    cidr_filters: bool = Field(
        default=False, description="Let networks such as 203.0.113.0/24 through to the API"
    )


def check_request(request: SimpleRequest | FullRequest, bounds: Bounds, *, now: datetime) -> None:
    """Refuse what the API is documented to refuse, before anything is sent.

    Args:
        request: what is asked for.
        bounds: the limits in force.
        now: the current time, aware; `offset_time` is held against it.

    Raises:
        InvalidRequest: a field is out of bounds; the error names it as the API does.
        WindowTooOld: `offset_time` is more than 24 hours ago.
    """
    longest = bounds.simple_time_limit if isinstance(request, SimpleRequest) else bounds.full_time_limit
    _within("time_limit", request.time_limit, longest, "seconds")
    _within("packet_limit", request.packet_limit, bounds.packet_limit, "packets")
    if isinstance(request, FullRequest):
        _within("byte_limit", request.byte_limit, bounds.byte_limit, "bytes")
        if not _COLO.fullmatch(request.colo):
            raise InvalidRequest(
                f"{request.colo!r} is no data centre",
                field="colo_name",
                todo="give one such as ord02, or a city's three letters such as ORD",
            )
    else:
        _check_offset(request, now)
    _check_filter(request.filter, bounds)


def _within(field: str, value: int | None, most: int, unit: str) -> None:
    if value is not None and not 1 <= value <= most:
        raise InvalidRequest(
            f"{field} {value} is out of bounds", field=field, todo=f"give 1 to {most} {unit}"
        )


def check_window(request: SimpleRequest | FullRequest, *, now: datetime) -> None:
    """Refuse a simple capture whose window is more than 24 hours old at `now`, aware.

    Raises:
        WindowTooOld: the API has forgotten those packets.
    """
    ends = request.offset_time if isinstance(request, SimpleRequest) else None
    if ends is not None and ends < now - LOOK_BACK:
        raise WindowTooOld(
            f"the window that ends {rfc3339(ends)} is more than 24 hours old",
            where="offset_time",
            todo="the API keeps packets for 24 hours, so these are gone; ask for a later window",
        )


def _check_offset(request: SimpleRequest, now: datetime) -> None:
    offset_time = request.offset_time
    if offset_time is None:
        return
    if offset_time.tzinfo is None:
        raise InvalidRequest(
            "offset_time has no time zone", field="offset_time", todo="add one, such as 2026-11-23T06:30:00Z"
        )
    if offset_time > now + timedelta(minutes=1):
        raise InvalidRequest(
            f"offset_time {rfc3339(offset_time)} lies in the future",
            field="offset_time",
            todo="a simple capture looks backwards from it; give a time that has passed",
        )
    check_window(request, now=now)


def _check_filter(wanted: Filter, bounds: Bounds) -> None:
    for field in ("source_address", "destination_address"):
        text = getattr(wanted, field)
        if text is not None:
            _check_address(f"filter_v1.{field}", text, bounds)
    for field in ("source_port", "destination_port"):
        port = getattr(wanted, field)
        if port is not None and not 0 <= port <= 65_535:  # noqa: PLR2004 - the port space
            raise InvalidRequest(
                f"port {port} does not exist", field=f"filter_v1.{field}", todo="give 0 to 65535"
            )
    if wanted.protocol is not None and not 0 <= wanted.protocol <= 255:  # noqa: PLR2004 - one byte in the header
        raise InvalidRequest(
            f"IP protocol {wanted.protocol} does not exist",
            field="filter_v1.protocol",
            todo="give 0 to 255, such as 6 for TCP",
        )


def _check_address(field: str, text: str, bounds: Bounds) -> None:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidRequest(
            f"{text!r} is no IP address", field=field, todo="give one such as 203.0.113.7"
        ) from None
    if "/" in text and not bounds.cidr_filters:
        raise InvalidRequest(
            f"{text} is a network, and the API is documented for single addresses",
            field=field,
            todo="give one address, or set bounds.cidr_filters if your account accepts networks",
        )
    if network.version == 6 and not bounds.ipv6_filters:  # noqa: PLR2004 - IPv6
        raise InvalidRequest(
            f"{text} is IPv6, and the API is documented for IPv4",
            field=field,
            todo="leave it out, or set bounds.ipv6_filters if your account accepts it",
        )


def request_body(
    request: SimpleRequest | FullRequest, *, destination_conf: str | None = None
) -> dict[str, Any]:
    """The JSON body of `POST /pcaps`.

    Args:
        request: what is asked for.
        destination_conf: the bucket's URI, for a full capture. It may hold a secret.
    """
    body: dict[str, Any] = {"type": request.type, "system": SYSTEM, "time_limit": request.time_limit}
    if request.packet_limit is not None:
        body["packet_limit"] = request.packet_limit
    if isinstance(request, SimpleRequest):
        if request.offset_time is not None:
            body["offset_time"] = rfc3339(request.offset_time)
    else:
        if request.byte_limit is not None:
            body["byte_limit"] = request.byte_limit
        body["colo_name"] = request.colo
        body["destination_conf"] = destination_conf
    body["filter_v1"] = request.filter.body()
    return body


def rfc3339(moment: datetime) -> str:
    """`moment` in UTC with microseconds and `Z`, as the API writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _endpoint(address: str | None, port: int | None) -> str:
    if address and ":" in address and port is not None:
        address = f"[{address}]"
    if port is None:
        return address or ""
    return f"{address or ''}:{port}"
