"""Combine fields of `filter_v1`: intersect two sets, or tell whether one implies the other."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

from edgecap.errors import InvalidRequest
from edgecap.filters.syntax import Fields
from edgecap.protocols import WITH_PORTS, protocol_name


def choices_within(given: Fields, choices: Iterable[Fields]) -> list[Fields]:
    """Return those `choices` that do not contradict `given`, each combined with it.

    Of two nested networks, the narrower one is kept.

    Raises:
        InvalidRequest: all contradict it; the error names the field of `given` that the first contradicts.
    """
    found, refused = [], []
    for choice in choices:
        joined = dict(given)
        for field, value in choice.items():
            both = _both(given[field], value) if field in given else value
            if both is None:
                one, other = (_named(field, each) for each in (given[field], value))
                refused.append((field, f"{field} is {one}, and the expression asks for {other}"))
                break
            joined[field] = both
        else:
            if port := _port_without_ports(joined):
                protocol = protocol_name(int(joined["protocol"]))
                refused.append(("protocol", f"{protocol} has no ports, and the expression asks for {port}"))
            else:
                found.append(joined)
    if not found and refused:
        field, why = refused[0]
        raise InvalidRequest(
            f"no packet can match: {why}", field=f"filter_v1.{field}", hint="change one of them"
        )
    return found


def _named(field: str, value: str | int) -> str:
    return protocol_name(int(value)) if field == "protocol" else str(value)


def _port_without_ports(fields: Fields) -> str:
    """The port of fields whose protocol has no ports, such as `port 80`; empty if that is not so."""
    if fields.get("protocol") in (None, *WITH_PORTS):
        return ""
    return next((f"port {value}" for field, value in fields.items() if field.endswith("_port")), "")


def implied(wanted: Fields, sent: Fields) -> bool:
    """Whether `sent` implies all of `wanted`."""
    return all(field in sent and _both(sent[field], value) == sent[field] for field, value in wanted.items())


def _both(one: str | int, other: str | int) -> str | int | None:
    """The intersection of two values; None if it is empty. Of two spellings of one address, the first."""
    if one == other:
        return one
    if isinstance(one, int) or isinstance(other, int):
        return None
    if _inside(one, other):
        return one
    return other if _inside(other, one) else None


def _inside(inner: str, outer: str) -> bool:
    try:
        small, large = ip_network(inner, strict=False), ip_network(outer, strict=False)
    except ValueError:
        return False  # an invalid address, which is reported elsewhere, contains nothing and is in nothing
    if small.version != large.version or small.prefixlen < large.prefixlen:
        return False
    beyond = large.max_prefixlen - large.prefixlen
    return int(small.network_address) >> beyond == int(large.network_address) >> beyond
