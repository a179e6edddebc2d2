"""The part of pcap-filter syntax that maps to the fields of Cloudflare's API.

libpcap decides what an expression means; this module only finds conditions that certainly hold for every
matching packet. Anything else becomes a `Condition` without fields, which is always true.

Syntax: https://www.tcpdump.org/manpages/pcap-filter.7.html. `and` and `or` bind equally, left to right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_network

from edgecap.filters.service_names import service_ports

Fields = dict[str, str | int]
"""Fields of `filter_v1` that must all be equal."""

_TOKEN = re.compile(r"\s*(&&|\|\||[()\[\]]|[<>=!&|+*/%^-]+|\\?[\w.:/-]*[\w.:/]|\S)")
_AND, _OR = {"and", "&&"}, {"or", "||"}
_NOT = {"not", "!"}
_SHIFTING = {
    "vlan",
    "mpls",
    "pppoed",
    "pppoes",
    "geneve",
    "vxlan",
}  # later words look deeper into the packet
_TCP, _UDP = 6, 17
_NAMED = {"icmp": 1, "igmp": 2, "tcp": _TCP, "igrp": 9, "udp": _UDP, "esp": 50, "icmp6": 58, "pim": 103}
_NAMED |= {"vrrp": 112, "sctp": 132}
# In IPv6, the API may look behind these headers, where the expression means the header itself.
_EXTENSIONS = {0, 43, 44, 51, 60, 135, 139, 140}
_ALONE = {"ah", "arp", "rarp", "broadcast", "multicast", "inbound", "outbound"}
_DEEPEST = 200  # nested parentheses; libpcap accepts thousands, Python does not
_TYPES = {"host", "net", "port", "proto"}
_PLAIN_NET = re.compile(r"\d+\.\d+\.\d+\.\d+(/\d+)?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(/\d+)?")


@dataclass(frozen=True, slots=True)
class Condition:
    """One primitive.

    Attributes:
        text: a standalone expression for libpcap; empty if it cannot stand alone.
        choices: a matching packet certainly has all fields of at least one of these.
        whole: whether, conversely, every IP packet with one of the choices matches.
    """

    text: str
    choices: tuple[Fields, ...] = ({},)
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Every:
    """All of these."""

    parts: tuple[Expression, ...]

    @property
    def text(self) -> str:
        """A standalone expression for libpcap; empty if there is none."""
        return _joined(self.parts, " and ")


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of these."""

    parts: tuple[Expression, ...]

    @property
    def text(self) -> str:
        """A standalone expression for libpcap; empty if there is none."""
        return _joined(self.parts, " or ")


Expression = Condition | Every | Some


def shifts(expression: str) -> bool:
    """Whether it has words that move the position at which later words look into the packet."""
    return not _SHIFTING.isdisjoint(_tokens(expression))


def parse(expression: str) -> Expression:
    """Parse an expression that libpcap accepts."""
    if expression.count("(") > _DEEPEST:
        return Condition("")
    parser = _Parser(expression)
    whole = parser.expression()
    # The rest is not understood, so it gives no fields.
    return Condition("") if parser.peek() else whole


def _tokens(expression: str) -> list[str]:
    return _TOKEN.findall(expression)


def _joined(parts: tuple[Expression, ...], word: str) -> str:
    texts = [part.text if isinstance(part, Condition) else f"({part.text})" for part in parts]
    return "" if "" in texts or "()" in texts else word.join(texts)


@dataclass(frozen=True, slots=True)
class _Qualifiers:
    protocol: str = ""
    direction: str = ""
    kind: str = ""


class _Parser:
    def __init__(self, expression: str) -> None:
        self._text = expression
        found = list(_TOKEN.finditer(expression))
        self._tokens = [match[1] for match in found]
        self._spans = [match.span(1) for match in found]
        self._at = 0
        self._last: _Qualifiers | None = None  # inherited by an identifier without qualifiers

    def peek(self, ahead: int = 0) -> str:
        place = self._at + ahead
        return self._tokens[place] if place < len(self._tokens) else ""

    def _take(self) -> str:
        token = self.peek()
        self._at += 1
        return token

    def expression(self) -> Expression:
        left = self._term()
        while self.peek() in _AND | _OR:
            kind: type[Every | Some] = Every if self._take() in _AND else Some
            right = self._term()
            earlier = left.parts if isinstance(left, kind) else (left,)
            left = kind((*earlier, right))
        return left

    def _term(self) -> Expression:
        start = self._at
        if self.peek() in _NOT:
            return self._opaque(start)
        if self.peek() == "(":
            self._take()
            inner = self.expression()
            self._last = None
            if self.peek() == ")" and self.peek(1) in {"", ")", *_AND, *_OR}:
                self._take()
                return inner
            return self._opaque(start)
        condition = self._primitive()
        if condition is None or self.peek() not in {"", ")", *_AND, *_OR}:
            return self._opaque(start)
        return condition

    def _opaque(self, start: int) -> Condition:
        """Skip to the next `and` or `or` of this level: only libpcap understands this part."""
        self._at = start
        depth = 0
        while word := self.peek():
            if not depth and (word in _AND | _OR or word == ")") and not self._between_directions():
                break
            depth += (word in {"(", "["}) - (word in {")", "]"})
            self._at += 1
        self._last = None
        words = self._tokens[start : self._at]
        # An unknown single word may be an identifier that inherits the qualifiers before it.
        return Condition("" if len(words) == 1 and words[0] not in _ALONE else self._slice(start, self._at))

    def _slice(self, start: int, end: int) -> str:
        return self._text[self._spans[start][0] : self._spans[end - 1][1]] if start < end else ""

    def _between_directions(self) -> bool:
        return self._at > 0 and {self.peek(-1), self.peek(1)} == {"src", "dst"}

    def _primitive(self) -> Condition | None:
        start = self._at
        protocol = self._take() if self.peek() in {"ip", "ip6", *_NAMED} else ""
        if protocol and self.peek() in {"", ")", *_AND, *_OR}:
            self._last = None
            known = protocol in _NAMED
            return Condition(protocol, _protocol(_NAMED[protocol]) if known else ({},), whole=known)
        direction = self._direction()
        kind = self._take() if self.peek() in _TYPES else ""
        if self._at == start:
            if self._last is None:
                return None
            qualifiers = self._last
        else:
            qualifiers = _Qualifiers(protocol, direction, kind or "host")
        word = self._take()
        choices = _choices(qualifiers, word)
        if choices is None:
            return None
        self._last = qualifiers
        words = (qualifiers.protocol, qualifiers.direction, qualifiers.kind, word)
        # `ip proto 17` also states the IP version, for which there is no field; an address implies it.
        whole = not (qualifiers.kind == "proto" and qualifiers.protocol)
        return Condition(" ".join(filter(None, words)), choices, whole)

    def _direction(self) -> str:
        if self.peek() not in {"src", "dst"}:
            return ""
        first = self._take()
        if self.peek() in _AND | _OR and {first, self.peek(1)} == {"src", "dst"}:
            return f"{first} {self._take()} {self._take()}"
        return first


def _protocol(number: int) -> tuple[Fields, ...]:
    return ({},) if number in _EXTENSIONS or number > 255 else ({"protocol": number},)  # noqa: PLR2004


def _choices(qualifiers: _Qualifiers, word: str) -> tuple[Fields, ...] | None:
    """The fields that matching packets have; None if this is not understood."""
    protocol, direction, kind = qualifiers.protocol, qualifiers.direction, qualifiers.kind
    if kind == "proto":
        name = word.removeprefix("\\")
        if protocol not in {"", "ip", "ip6"} or direction or not (name.isdecimal() or name in _NAMED):
            return None
        return _protocol(int(name) if name.isdecimal() else _NAMED[name])
    if kind == "port":
        port = _port(word, protocol)
        if port is None or protocol not in {"", "tcp", "udp"}:
            return None
        return _directed(direction, "port", port, {"protocol": _NAMED[protocol]} if protocol else {})
    address = _network(word, kind)
    if address is None or protocol not in {"", "ip", "ip6"}:
        return None
    return _directed(direction, "address", address, {})


def _directed(direction: str, name: str, value: str | int, more: Fields) -> tuple[Fields, ...]:
    source: Fields = {**more, f"source_{name}": value}
    destination: Fields = {**more, f"destination_{name}": value}
    if direction in {"src", "dst"}:
        return (source,) if direction == "src" else (destination,)
    if set(direction.split()) & _AND:
        return ({**source, **destination},)
    return source, destination


def _port(word: str, protocol: str) -> int | None:
    if word.isdecimal():
        return int(word)
    ports = service_ports(word)
    found = {ports.get(name) for name in ([protocol] if protocol else ["tcp", "udp"])}
    return found.pop() if len(found) == 1 else None


def _network(word: str, kind: str) -> str | None:
    """An address, or a network with its mask, in the one unambiguous notation."""
    if not _PLAIN_NET.fullmatch(word) or ("/" in word) != (kind == "net"):
        return None
    try:
        network = ip_network(word)
    except ValueError:
        return None
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if single else str(network)
