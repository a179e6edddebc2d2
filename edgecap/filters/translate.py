"""Split a tcpdump expression into the API's filter and the rest that is applied to fetched packets.

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

_MOST_CHOICES = 64  # with more, nobody would start the captures one by one
_WITH_PORTS = (6, 17)


@dataclass(frozen=True, slots=True)
class Explained:
    """A split filter expression.

    Attributes:
        expression: the input.
        filter: `filter_v1` for one capture. It never excludes a matching IP packet; the API captures only IP.
        residual: the expression to apply after the download; empty if the API applies all of it.
        alternatives: narrower filters that together let every matching packet through, one capture each.
            Only one, the same as `filter`, unless the expression has an `or` or an either-way direction.
        notes: why a part was not sent to the API, one line each.
    """

    expression: str
    filter: Filter
    residual: str
    alternatives: tuple[Filter, ...]
    notes: tuple[str, ...] = ()

    @property
    def captures(self) -> int:
        """Number of captures with which the API applies as much as it can."""
        return len(self.alternatives)


def explain(
    expression: str,
    *,
    bounds: Bounds | None = None,
    link_type: int = ETHERNET,
    known: Filter | None = None,
) -> Explained:
    """Split a tcpdump expression into the API's part and the rest.

    As in tcpdump, host names are looked up.

    Args:
        expression: in pcap-filter syntax. Empty: everything.
        bounds: whether the API supports networks and IPv6; by default it does not.
        link_type: the `LINKTYPE_` number of the packets.
        known: fields that the API gets in any case. They are part of every filter here, and the residual
            leaves out what they imply.

    Raises:
        InvalidRequest: libpcap rejects the expression; the error has its message. Or no packet that has the
            `known` fields can match; the error names the field of `known`.
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
    """The fields of matching packets: each has all fields of at least one of these."""
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
            # Fewer conditions never exclude more packets.
            return _choices_of_plain_parts(parts)
        found = [_both(combination) for combination in product(*parts)]
    return found if len(found) <= _MOST_CHOICES else [{}]


def _choices_of_plain_parts(parts: list[list[Fields]]) -> list[Fields]:
    return [_both(tuple(part[0] for part in parts if len(part) == 1))]


def _both(combination: tuple[Fields, ...]) -> Fields:
    # Two values for one field: no packet has both, so either is safe.
    joined: Fields = {}
    for fields in combination:
        joined = {**fields, **joined}
    return joined


def _sendable(choice: Fields, given: Fields, bounds: Bounds, notes: list[str]) -> Fields:
    """The fields of a choice that the API interprets as libpcap does, and the `given` ones."""
    kept = dict(choice)
    for field, value in choice.items():
        text = str(value)
        if given.get(field) == value:
            continue
        if field.endswith("_address") and "/" in text and not bounds.cidr_filters:
            notes.append(f"{text} is a network, and the API documents only single addresses")
            del kept[field]
        elif field.endswith("_address") and ":" in text and not bounds.ipv6_filters:
            notes.append(f"{text} is IPv6, and the API documents only IPv4")
            del kept[field]
        elif field.endswith("_port") and choice.get("protocol") not in _WITH_PORTS:
            notes.append(
                f"port {text} alone also means SCTP, which the API's ports may not; "
                f"write tcp port or udp port for the API to filter on it"
            )
            del kept[field]
    return given | kept


def _weakest(choices: list[Fields]) -> list[Fields]:
    """Choices without those that another one includes."""
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
    """The part of the expression that `sent` does not cover: some of its parts, or all of it."""
    parts = shape.parts if isinstance(shape, Every) else (shape,)
    left = [part for part in parts if not _covered(part, sent)]
    if not left:
        return ""
    text = Every(tuple(left)).text if len(left) > 1 else left[0].text
    return text if text and len(left) < len(parts) else expression


def _covered(part: Expression, sent: Fields) -> bool:
    """Whether every packet that `sent` lets through matches."""
    if isinstance(part, Every):
        return all(_covered(each, sent) for each in part.parts)
    if isinstance(part, Some):
        return any(_covered(each, sent) for each in part.parts)
    return part.whole and any(choice and implied(choice, sent) for choice in part.choices)
