"""One filter language: what of a tcpdump expression the API can do, and the rest applied to fetched packets.

>>> explained = explain("udp and src port 53 and net 203.0.113.0/24")
>>> str(explained.filter), explained.residual, explained.captures
('udp :53 > any', 'net 203.0.113.0/24', 1)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from edgecap.filters.bpf import ETHERNET, Program
from edgecap.filters.fields import choices_within, implied
from edgecap.filters.syntax import Condition, Every, Expression, Fields, Some, parse, shifts
from edgecap.requests import Bounds, Filter

_MOST_CHOICES = 64  # an expression of more has nothing that a person would make captures of
_WITH_PORTS = (6, 17)


@dataclass(frozen=True, slots=True)
class Explained:
    """What becomes of a filter expression.

    Attributes:
        expression: as given.
        filter: what every packet that matches has, for one capture's `filter_v1`. It never excludes a packet
            that matches, of those that the API captures: IP packets.
        residual: what is left to do after the download; empty if the API does all of it.
        alternatives: narrower filters that together let every packet that matches through, one capture each.
            One, the same as `filter`, unless the expression holds an `or`, or a direction that is either.
        notes: why something was not sent to the API, a line each.
    """

    expression: str
    filter: Filter
    residual: str
    alternatives: tuple[Filter, ...]
    notes: tuple[str, ...] = ()

    @property
    def captures(self) -> int:
        """How many captures it takes for the API to do as much of the filtering as it can."""
        return len(self.alternatives)


def explain(
    expression: str,
    *,
    bounds: Bounds | None = None,
    link_type: int = ETHERNET,
    known: Filter | None = None,
) -> Explained:
    """Say which part of a tcpdump expression goes to the API and which is applied after the download.

    As with tcpdump, names of hosts are looked up.

    Args:
        expression: in pcap-filter's language. Empty: everything.
        bounds: whether the API takes networks and IPv6; it does not unless said.
        link_type: the `LINKTYPE_` number of the packets that it is meant for.
        known: what the API is asked for in any case. It is part of every filter here, and the residual leaves
            out what follows from it.

    Raises:
        InvalidRequest: libpcap does not take the expression; the error has its words. Or no packet that is
            `known` can match; the error names the field of `known`.
    """
    Program(expression, link_type)
    bounds, known = bounds or Bounds(), known or Filter()
    if not expression.strip():
        return Explained(expression, known, "", (known,))
    if shifts(expression):
        note = (
            "the API sees packets from outside: behind vlan, mpls, pppoe, geneve or vxlan it filters nothing"
        )
        return Explained(expression, known, expression, (known,), (note,))
    shape = parse(expression)
    notes: list[str] = []
    given: Fields = known.body()
    possible = choices_within(given, _choices(shape))
    alternatives = _weakest([_sendable(choice, given, bounds, notes) for choice in possible])
    common = given | dict(set.intersection(*({*choice.items()} for choice in alternatives)))
    return Explained(
        expression,
        _filter(common),
        _residual(expression, shape, common),
        tuple(map(_filter, alternatives)),
        tuple(dict.fromkeys(notes)),
    )


def _choices(shape: Expression) -> list[Fields]:
    """What certainly holds of packets that match: all fields of at least one of these."""
    if isinstance(shape, Condition):
        return list(shape.choices)
    parts = [_choices(part) for part in shape.parts]
    if isinstance(shape, Some):
        found = [choice for part in parts for choice in part]
    else:
        number = 1
        for part in parts:
            number *= len(part)
        if number > _MOST_CHOICES:
            # Fewer conditions let more through, never less.
            return _choices_of_plain_parts(parts)
        found = [_both(combination) for combination in product(*parts)]
    return found if len(found) <= _MOST_CHOICES else [{}]


def _choices_of_plain_parts(parts: list[list[Fields]]) -> list[Fields]:
    return [_both(tuple(part[0] for part in parts if len(part) == 1))]


def _both(combination: tuple[Fields, ...]) -> Fields:
    # Two values for one field: no packet has both, so that either is true of all that match.
    joined: Fields = {}
    for fields in combination:
        joined = {**fields, **joined}
    return joined


def _sendable(choice: Fields, given: Fields, bounds: Bounds, notes: list[str]) -> Fields:
    """What the API is known to understand of a choice as libpcap does, and what is `given` anyway."""
    kept = dict(choice)
    for field, value in choice.items():
        text = str(value)
        if given.get(field) == value:
            continue
        if field.endswith("_address") and "/" in text and not bounds.cidr_filters:
            notes.append(f"{text} is a network, and the API is documented for single addresses")
            del kept[field]
        elif field.endswith("_address") and ":" in text and not bounds.ipv6_filters:
            notes.append(f"{text} is IPv6, and the API is documented for IPv4")
            del kept[field]
        elif field.endswith("_port") and choice.get("protocol") not in _WITH_PORTS:
            notes.append(
                f"port {text} alone also means SCTP, which the API's ports may not; "
                f"say tcp port or udp port for the API to filter on it"
            )
            del kept[field]
    return given | kept


def _weakest(choices: list[Fields]) -> list[Fields]:
    """Choices without those that another one lets through as well."""
    kept: list[Fields] = []
    for choice in choices:
        if any(other.items() <= choice.items() for other in kept):
            continue
        kept = [other for other in kept if not choice.items() <= other.items()]
        kept.append(choice)
    return kept


def _filter(fields: Fields) -> Filter:
    values: dict[str, Any] = dict(fields)
    return Filter(**values)


def _residual(expression: str, shape: Expression, sent: Fields) -> str:
    """What `sent` does not do of the expression: some of its parts, or all of it."""
    parts = shape.parts if isinstance(shape, Every) else (shape,)
    left = [part for part in parts if not _covered(part, sent)]
    if not left:
        return ""
    text = Every(tuple(left)).text if len(left) > 1 else left[0].text
    return text if text and len(left) < len(parts) else expression


def _covered(part: Expression, sent: Fields) -> bool:
    """True if every packet that `sent` lets through matches."""
    if isinstance(part, Every):
        return all(_covered(each, sent) for each in part.parts)
    if isinstance(part, Some):
        return any(_covered(each, sent) for each in part.parts)
    return part.whole and any(choice and implied(choice, sent) for choice in part.choices)
