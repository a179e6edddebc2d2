"""What all forms share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edgecap.proposals.traffic_filter import Range, TrafficFilter


class NotExpressible(Exception):
    """A language cannot say what a filter says; the text is the reason, in words."""


@dataclass(frozen=True, slots=True)
class Form:
    """A language for filters.

    Attributes:
        name: for scripts, such as `cloudflare`.
        title: for people.
        write: the text of a filter; raises `NotExpressible`.
    """

    name: str
    title: str
    write: Callable[[TrafficFilter], str]


def ranges_text(ranges: Iterable[Range], dash: str, between: str) -> str:
    """Ranges with a sign between their ends, and one between them."""
    return between.join(str(first) if first == last else f"{first}{dash}{last}" for first, last in ranges)
