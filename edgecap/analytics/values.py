"""Values of questions and answers of the GraphQL API: times, numbers, addresses."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

ADDRESSES_MOST = 256  # that a filter names; of more, the answer is asked for by address
_LIMIT = re.compile(r"limit must be .*?not greater than (\d+)", re.IGNORECASE)


def addresses_of(networks: Sequence[Network]) -> list[str] | None:
    """Each address of the networks; None if they are too many for a filter."""
    if sum(network.num_addresses for network in networks) > ADDRESSES_MOST:
        return None
    return sorted({str(address) for network in networks for address in network})


def lies_in(text: object, networks: Sequence[Network]) -> bool:
    """Whether an address of an answer is in one of the networks."""
    try:
        address = ip_network(str(text))
    except ValueError:
        return False
    return any(
        address.version == network.version and address.network_address in network for network in networks
    )


def plain_number(value: object) -> float | None:
    """A number of an answer; None if it is none, or negative."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def minute_of(value: object) -> datetime | None:
    """A time of an answer, aware, UTC; None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def moment_text(moment: datetime) -> str:
    """A time (aware) as a filter takes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def quoted(text: str) -> str:
    """A string in a query."""
    return json.dumps(text)


def limit_in(errors: Iterable[str]) -> int:
    """The largest number of rows that an answer allows, if its errors say that; else 0."""
    return min((int(each[1]) for each in map(_LIMIT.search, errors) if each), default=0)
