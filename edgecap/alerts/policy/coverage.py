"""Rules of a policy that can never match, because earlier rules match every such alert."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import product
from typing import get_args

from edgecap.alerts.model import Severity
from edgecap.alerts.policy.rules import Rule
from edgecap.alerts.sources.registry import SOURCES

_ANY = "\ue000" * 200  # in no alert's type, and longer than the fixed parts of any glob
_MOST_STARS = 8  # of one glob that are tried in all combinations


def shadowed(rules: Sequence[Rule]) -> list[tuple[str, ...]]:
    """For each rule, the names of the earlier rules that match all its alerts; empty if it can match.

    A rule with names never matches. A rule without names may still never match: not every case is found.

    Args:
        rules: in their order.
    """
    return [_takers(rule, rules[:place]) for place, rule in enumerate(rules)]


def _takers(rule: Rule, earlier: Sequence[Rule]) -> tuple[str, ...]:
    """The earlier rules that match all of the rule's alerts; empty if one kind of alert is left to it."""
    sources = SOURCES if "*" in rule.source else rule.source
    takers: dict[str, None] = {}
    for source, kind, severity in product(sources, rule.kind, rule.severity or get_args(Severity)):
        taker = next((each.name for each in earlier if _takes(each, source, kind, severity)), None)
        if taker is None:
            return ()
        takers[taker] = None
    return tuple(takers)


def _takes(rule: Rule, source: str, kind: str, severity: Severity) -> bool:
    return (
        ("*" in rule.source or source in rule.source)
        and (not rule.severity or severity in rule.severity)
        and any(_within(kind.lower(), wider.lower()) for wider in rule.kind)
    )


def _within(narrow: str, wide: str) -> bool:
    """Whether everything that the glob `narrow` matches, `wide` matches too.

    Tried with what `narrow` matches at its shortest and at its longest: a letter that stands for any can
    only be matched by a wildcard, and more of them than `wide` has letters only by its star.
    """
    if wide in (narrow, "*"):
        return True
    if "[" in narrow + wide or narrow.count("*") > _MOST_STARS or len(wide) >= len(_ANY):
        return False
    parts = narrow.replace("?", _ANY[0]).split("*")
    for fillings in product(("", _ANY), repeat=len(parts) - 1):
        text = parts[0] + "".join(filling + part for filling, part in zip(fillings, parts[1:], strict=True))
        if not fnmatchcase(text, wide):
            return False
    return True
