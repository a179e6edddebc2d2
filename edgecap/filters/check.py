"""Reject requests that the API is documented to refuse, before anything is sent."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta

from edgecap.errors import InvalidRequest, WindowTooOld
from edgecap.filters.of_request import explain_request
from edgecap.protocols import LARGEST_PROTOCOL, WITH_PORTS, protocol_name
from edgecap.requests import COLO, LOOK_BACK, Bounds, Filter, FullRequest, SimpleRequest, rfc3339


def check_request(request: SimpleRequest | FullRequest, bounds: Bounds, *, now: datetime) -> None:
    """Reject a request that the API is documented to refuse, before anything is sent.

    Args:
        request: the request.
        bounds: the current limits.
        now: the current time, aware; `offset_time` is compared with it.

    Raises:
        InvalidRequest: a field is out of bounds, or the expression cannot be applied; the error names the
            field, by the API's name if it is one of the API's.
        WindowTooOld: `offset_time` is more than 24 hours ago.
    """
    longest = bounds.simple_time_limit if isinstance(request, SimpleRequest) else bounds.full_time_limit
    _within("time_limit", request.time_limit, longest, "seconds")
    _within("packet_limit", request.packet_limit, bounds.packet_limit, "packets")
    if isinstance(request, FullRequest):
        _within("byte_limit", request.byte_limit, bounds.byte_limit, "bytes")
        if not request.chooses_place and not COLO.fullmatch(request.colo):
            raise InvalidRequest(
                f"unknown data centre {request.colo!r}",
                field="colo_name",
                hint="give one such as ord02, a city's three letters such as ORD, or auto",
            )
    else:
        _check_offset(request, now)
    _check_filter(request.filter, bounds)
    explain_request(request, bounds)


def _within(field: str, value: int | None, most: int, unit: str) -> None:
    if value is not None and not 1 <= value <= most:
        raise InvalidRequest(
            f"{field} {value} is out of bounds", field=field, hint=f"give 1 to {most} {unit}"
        )


def check_window(request: SimpleRequest | FullRequest, *, now: datetime) -> None:
    """Reject a simple capture whose window is more than 24 hours old at `now`, aware.

    Raises:
        WindowTooOld: the API no longer has those packets.
    """
    ends = request.offset_time if isinstance(request, SimpleRequest) else None
    if ends is not None and ends < now - LOOK_BACK:
        raise WindowTooOld(
            f"the window that ends {rfc3339(ends)} is more than 24 hours old",
            where="offset_time",
            hint="the API keeps packets for 24 hours, so these are gone; request a later window",
        )


def _check_offset(request: SimpleRequest, now: datetime) -> None:
    offset_time = request.offset_time
    if offset_time is None:
        return
    if offset_time.tzinfo is None:
        raise InvalidRequest(
            "offset_time has no time zone", field="offset_time", hint="add one, such as 2026-11-23T06:30:00Z"
        )
    if offset_time > now + timedelta(minutes=1):
        raise InvalidRequest(
            f"offset_time {rfc3339(offset_time)} is in the future",
            field="offset_time",
            hint="a simple capture looks back from it; give a time in the past",
        )
    check_window(request, now=now)


def _check_filter(wanted: Filter, bounds: Bounds) -> None:
    for field in ("source_address", "destination_address"):
        text = getattr(wanted, field)
        if text is not None:
            _check_address(f"filter_v1.{field}", text, bounds)
    protocol = wanted.protocol
    if protocol is not None and not 0 <= protocol <= LARGEST_PROTOCOL:
        raise InvalidRequest(
            f"IP protocol {protocol} does not exist",
            field="filter_v1.protocol",
            hint="give 0 to 255, such as 6 for TCP",
        )
    for field in ("source_port", "destination_port"):
        port = getattr(wanted, field)
        if port is not None and not 0 <= port <= 65_535:  # noqa: PLR2004 - the port space
            raise InvalidRequest(
                f"port {port} does not exist", field=f"filter_v1.{field}", hint="give 0 to 65535"
            )
        if port is not None and protocol is not None and protocol not in WITH_PORTS:
            raise InvalidRequest(
                f"{protocol_name(protocol)} has no ports",
                field=f"filter_v1.{field}",
                hint="leave out the port or the protocol",
            )


def _check_address(field: str, text: str, bounds: Bounds) -> None:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidRequest(
            f"{text!r} is not an IP address", field=field, hint="give one such as 203.0.113.7"
        ) from None
    direction = "src" if "source" in field else "dst"
    if "/" in text and not bounds.cidr_filters:
        raise InvalidRequest(
            f"{text} is a network, and the API documents only single addresses",
            field=field,
            hint=f"use the filter expression {direction + ' net ' + str(network)!r}, "
            "or set bounds.cidr_filters if your account accepts networks",
        )
    if network.version == 6 and not bounds.ipv6_filters:  # noqa: PLR2004 - IPv6
        raise InvalidRequest(
            f"{text} is IPv6, and the API documents only IPv4",
            field=field,
            hint="leave it out, or set bounds.ipv6_filters if your account accepts it",
        )
