"""Parse values that people type: times, durations, sizes and protocols."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from ipaddress import IPv4Network, IPv6Network, ip_network

from edgecap.errors import InvalidRequest
from edgecap.protocols import LARGEST_PROTOCOL, PROTOCOL_NUMBERS

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,6})?[smhdw])+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s*(?:([kmgt])(i?)b?|b)?", re.IGNORECASE | re.ASCII)
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}


def parse_duration(text: str, *, field: str) -> timedelta:
    """Parse a duration such as `90s`, `10m`, `24h`, `7d` or `1h30m`.

    Raises:
        InvalidRequest: it is not valid; the error names `field`.
    """
    if not _DURATION.fullmatch(text.strip().lower()):
        raise InvalidRequest(
            f"{text!r} is not a duration", field=field, hint="give one such as 90s, 10m, 24h or 7d"
        )
    parts = _PART.findall(text.strip().lower())
    try:
        return timedelta(seconds=float(sum(Fraction(number) * _UNITS[unit] for number, unit in parts)))
    except OverflowError:
        raise InvalidRequest(
            f"{text!r} is too long", field=field, hint="give a duration such as 24h"
        ) from None


def parse_when(text: str, *, field: str, now: datetime) -> datetime:
    """Parse a time: RFC 3339 with its time zone, `now`, or a duration before `now`.

    Args:
        text: the input.
        field: the option, for the error.
        now: the current time, aware.

    Returns:
        Aware, UTC.

    Raises:
        InvalidRequest: it is neither, or it has no time zone.
    """
    typed = text.strip()
    if typed.lower() == "now":
        return now.astimezone(UTC)
    try:
        if _DURATION.fullmatch(typed.lower()):
            return (now - parse_duration(typed, field=field)).astimezone(UTC)
        moment = datetime.fromisoformat(typed)
        if moment.tzinfo is None:
            raise InvalidRequest(
                f"{text!r} has no time zone", field=field, hint="add one, such as 2026-11-23T06:30:00Z"
            )
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{text!r} is not a time",
            field=field,
            hint="give one such as 2026-11-23T06:30:00Z, or 10m for ten minutes ago",
        ) from None


def parse_size(text: str, *, field: str) -> int:
    """Parse a number of bytes such as `5000`, `500kB`, `100MB` or `64MiB`; fractions of a byte are dropped.

    Raises:
        InvalidRequest: it is not valid; the error names `field`.
    """
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise InvalidRequest(
            f"{text!r} is not a size", field=field, hint="give bytes such as 5000, 500kB, 100MB or 64MiB"
        )
    number, unit, binary = found.groups()
    power = _POWERS[unit.lower()] if unit else 0
    return int(Fraction(number) * (1024 if binary else 1000) ** power)


def parse_network(text: str, *, field: str) -> IPv4Network | IPv6Network:
    """Parse an address or a network; an address is a network of one address.

    Raises:
        InvalidRequest: it is neither; the error names `field`.
    """
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError:
        raise InvalidRequest(
            f"{text!r} is not an address", field=field, hint="give one such as 203.0.113.7 or 203.0.113.0/24"
        ) from None


def parse_protocol(text: str, *, field: str) -> int:
    """Parse an IP protocol: a name such as `udp`, or a number from 0 to 255.

    Raises:
        InvalidRequest: it is neither; the error names `field`.
    """
    typed = text.strip().lower()
    if typed in PROTOCOL_NUMBERS:
        return PROTOCOL_NUMBERS[typed]
    if re.fullmatch(r"[0-9]{1,3}", typed) and int(typed) <= LARGEST_PROTOCOL:
        return int(typed)
    raise InvalidRequest(
        f"unknown IP protocol {text!r}",
        field=field,
        hint=f"give a number from 0 to 255, or one of {', '.join(PROTOCOL_NUMBERS)}",
    )
