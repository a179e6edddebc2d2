"""BGP Flow Spec rules as FastNetMon writes them into JSON: which packets a partial block drops.

A rule has `source_prefix`, `destination_prefix`, `source_ports`, `destination_ports`, `protocols` and
`action_type` (discard, accept, rate-limit), of which any may be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgecap.alerts.sources import values
from edgecap.alerts.sources.fields import MOST_ADDRESSES

ACTION = "partial_block"
_ACCEPT = "accept"


@dataclass(frozen=True, slots=True)
class FlowSpec:
    """What rules have in common.

    Attributes:
        targets: all destination prefixes.
        sources: all source prefixes.
        target_port: the one port that all rules name; None if they name none or several.
        protocol: the same for the protocol.
        source_ports: all of them.
        written: the rules in words, a line each.
    """

    targets: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    target_port: int | None = None
    protocol: int | None = None
    source_ports: tuple[int, ...] = ()
    written: str = ""

    def __bool__(self) -> bool:
        """Whether there are any rules."""
        return bool(self.written)


def read(value: object) -> FlowSpec:
    """The rules in a list; those that accept packets are left out, since they are no part of an attack."""
    items = [item for item in values.several(value)[:MOST_ADDRESSES] if isinstance(item, dict)]
    rules = [rule for rule in items if values.line(rule.get("action_type")).lower() != _ACCEPT]
    ports = [_all(rule.get("destination_ports"), values.port) for rule in rules]
    protocols = [_all(rule.get("protocols"), values.protocol) for rule in rules]
    return FlowSpec(
        targets=_prefixes(rules, "destination_prefix"),
        sources=_prefixes(rules, "source_prefix"),
        target_port=_common(ports),
        protocol=_common(protocols),
        source_ports=tuple(
            dict.fromkeys(port for rule in rules for port in _all(rule.get("source_ports"), values.port))
        )[:MOST_ADDRESSES],
        written="\n".join(filter(None, map(_in_words, rules))),
    )


def _prefixes(rules: Sequence[dict[str, Any]], name: str) -> tuple[str, ...]:
    found = [each[0] for rule in rules if (each := values.address(rule.get(name)))]
    return tuple(dict.fromkeys(found))


def _all(value: object, read_one: Callable[[object], int | None]) -> tuple[int, ...]:
    return tuple(found for item in values.several(value) if (found := read_one(item)) is not None)


def _common(of_rules: Sequence[tuple[int, ...]]) -> int | None:
    """The one number that each rule names alone."""
    named = set(of_rules)
    (only,) = named if len(named) == 1 else ((),)
    return only[0] if len(only) == 1 else None


def _in_words(rule: dict[str, Any]) -> str:
    """Such as `discard: protocols tcp, source_prefix 198.51.100.1/32, destination_ports 80`."""
    told = [
        f"{name} {' '.join(map(values.line, values.several(rule[name])))}"
        for name in sorted(rule)
        if name not in ("action", "action_type") and values.several(rule[name])
    ]
    return ": ".join(filter(None, (values.line(rule.get("action_type")), ", ".join(told))))
