"""How the fields of `filter_v1` combine: what two of them say together, and what follows from which."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

from edgecap.errors import InvalidRequest
from edgecap.filters.syntax import Fields


def choices_within(given: Fields, choices: Iterable[Fields]) -> list[Fields]:
    """Those of `choices` that can hold of a packet of which `given` holds, each with `given` in it.

    Of two networks, one in the other, the narrower one is kept.

    Raises:
        InvalidRequest: there are none; the error names the field of `given` that the first one contradicts.
    """
    found, refused = [], []
    for choice in choices:
        joined = dict(given)
        for field, value in choice.items():
            both = _both(given[field], value) if field in given else value
            if both is None:
                refused.append((field, value))
                break
            joined[field] = both
        else:
            found.append(joined)
    if not found and refused:
        field, value = refused[0]
        raise InvalidRequest(
            f"no packet can match: {field} is {given[field]}, and the expression asks for {value}",
            field=f"filter_v1.{field}",
            hint="change one of the two",
        )
    return found


def implied(wanted: Fields, sent: Fields) -> bool:
    """True if all of `wanted` follows from `sent`."""
    return all(field in sent and _both(sent[field], value) == sent[field] for field, value in wanted.items())


def _both(one: str | int, other: str | int) -> str | int | None:
    """The value that says both, None if nothing does. Of two ways to write one address, the first."""
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
        return False  # what is no address, which is refused elsewhere, holds nothing and is in nothing
    if small.version != large.version or small.prefixlen < large.prefixlen:
        return False
    beyond = large.max_prefixlen - large.prefixlen
    return int(small.network_address) >> beyond == int(large.network_address) >> beyond
