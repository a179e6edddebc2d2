"""Replace port and protocol names that this machine does not know by numbers, before libpcap sees them."""

from __future__ import annotations

import re
from collections.abc import Callable

from edgecap.filters.names import KEYWORDS, words
from edgecap.filters.service_names import (
    builtin_ports,
    machine_knows_port,
    machine_knows_protocol,
)
from edgecap.protocols import etc_protocol

_JOINING = {"and", "or", "not"}
_SIDES = {"src", "dst"}
_OF_A_LINK = {"ether", "link", "fddi", "tr", "wlan", "ppp", "slip", "iso", "isis", "llc"}
_GOES_ON = re.compile(r"\s*(?:and\b|or\b|&&|\|\|)[\s(!]*(?:not\s+)?")


def numbered(
    expression: str,
    *,
    knows_port: Callable[[str], bool] = machine_knows_port,
    knows_protocol: Callable[[str], bool] = machine_knows_protocol,
) -> str:
    """The expression with numbers for names that only edgecap knows.

    `port ntp` becomes `udp port 123`, as libpcap would do. In a list, such as `port (ntp or 53)`, the number
    applies to any transport.

    Args:
        expression: in pcap-filter syntax.
        knows_port: whether libpcap finds a port name on this machine.
        knows_protocol: whether libpcap finds the name of an IP protocol.
    """
    found = words(expression)
    edits: list[tuple[int, int, str]] = []
    kind, of_a_link = "", False
    for place, (start, text) in enumerate(found):
        end = start + len(text)
        if text in KEYWORDS:
            if text not in _JOINING:
                of_a_link = place > 0 and found[place - 1][1] in _OF_A_LINK
                kind = text
        elif kind in {"port", "portrange"} and not text.isdecimal() and not knows_port(text):
            edits += _port(expression, found, place)
        elif kind in {"proto", "protochain"} and not of_a_link:
            name = text.removeprefix("\\")
            number = None if name.isdecimal() or knows_protocol(name) else etc_protocol(name)
            if number is not None:
                edits.append((start, end, str(number)))
    for start, end, text in sorted(edits, reverse=True):
        expression = expression[:start] + text + expression[end:]
    return expression


def _port(expression: str, found: list[tuple[int, str]], place: int) -> list[tuple[int, int, str]]:
    start, text = found[place]
    end = start + len(text)
    ports = builtin_ports(text)
    if not ports:
        first, dash, last = text.partition("-")
        ends = [_any_port(first), _any_port(last)]
        return [(start, end, f"{ends[0]}-{ends[1]}")] if dash and None not in ends else []
    edits = [(start, end, str(next(iter(ports.values()))))]
    head = _head(expression, found, place)
    if len(ports) == 1 and head is not None and not _a_list_goes_on(expression, end):
        edits.append((head, head, f"{next(iter(ports))} "))
    return edits


def _any_port(word: str) -> int | None:
    return int(word) if word.isdecimal() else next(iter(builtin_ports(word).values()), None)


def _head(expression: str, found: list[tuple[int, str]], place: int) -> int | None:
    """The start of a primitive without a transport, such as `src port ntp`; else None."""
    first = place - 1
    if first < 0 or found[first][1] != "port" or not _adjacent(expression, found, first):
        return None  # in a list
    if _adjacent(expression, found, first - 1) and found[first - 1][1] in _SIDES:
        first -= 1
        both = [word for _, word in found[max(first - 2, 0) : first]]
        if len(both) == 2 and both[0] in _SIDES and both[1] in _JOINING:  # noqa: PLR2004 - `src or`
            first -= 2
    qualified = _adjacent(expression, found, first - 1) and found[first - 1][1] not in _JOINING
    return None if qualified else found[first][0]


def _adjacent(expression: str, found: list[tuple[int, str]], place: int) -> bool:
    """Whether only spaces separate a word from the next one."""
    if place < 0:
        return False
    start, text = found[place]
    return not expression[start + len(text) : found[place + 1][0]].strip()


def _a_list_goes_on(expression: str, end: int) -> bool:
    """Whether an identifier follows that inherits the qualifiers, as in `port ntp or 53`."""
    joined = _GOES_ON.match(expression, end)
    if joined is None:
        return False
    following = words(expression[joined.end() :])
    return bool(following) and following[0][1] not in KEYWORDS
