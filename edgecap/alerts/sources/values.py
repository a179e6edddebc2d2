"""Single values of a payload: text, numbers, ports, protocols, addresses, times and rates, however written.

Each function takes any JSON value, and returns None or nothing if it cannot use it. None of them raises.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from edgecap.alerts.model import Severity
from edgecap.protocols import LARGEST_PROTOCOL, PROTOCOL_NUMBERS
from edgecap.requests import COLO

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

Unit = Literal["pps", "bps", "rps", ""]
"""Packets, bits or requests per second, or none stated."""

LARGEST_RATE = 1e15  # per second; the whole Internet moves less, so a higher one is a mistake
MOST_ITEMS = 5000  # of a list that are looked at; an alert is read in a fraction of a second
_MOST_NESTED_LISTS = 3

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # before it: Go's and Unix's zero times
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_PORT = 65_535

_NUMBER = re.compile(r"[+-]?(?:\d[\d,_' ]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?")
_SCALES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_UNITS: tuple[tuple[re.Pattern[str], Unit, float], ...] = (
    (re.compile(r"(?i:pps|p/s|packets? ?/ ?s(?:ec)?|packets? per second)"), "pps", 1.0),
    (re.compile(r"B[p/]s|(?i:bytes? ?/ ?s(?:ec)?|bytes? per second)"), "bps", 8.0),
    (re.compile(r"(?i:bps|b/s|bits? ?/ ?s(?:ec)?|bits? per second)"), "bps", 1.0),
    (re.compile(r"(?i:rps|r/s|req(?:uest)?s? ?/ ?s(?:ec)?|requests? per second)"), "rps", 1.0),
    (re.compile(r""), "", 1.0),
)
_SEVERITIES: dict[str, Severity] = {
    **dict.fromkeys(("critical", "crit", "fatal", "emergency", "disaster", "page", "p1", "sev1"), "critical"),
    **dict.fromkeys(("high", "error", "err", "major", "major2", "severe", "p2", "sev2"), "high"),
    **dict.fromkeys(("medium", "middle", "moderate", "warning", "warn", "average", "p3", "sev3"), "medium"),
    **dict.fromkeys(("low", "minor", "minor2", "p4", "sev4"), "low"),
    **dict.fromkeys(("info", "informational", "information", "notice", "none", "debug"), "info"),
    **dict.fromkeys(("ok", "success", "p5", "sev5"), "info"),
}
_LOCAL: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("loopback", ("127.0.0.0/8", "::1/128")),
    ("link-local", ("169.254.0.0/16", "fe80::/10")),
    ("private", ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")),
    ("multicast", ("224.0.0.0/4", "ff00::/8")),
    ("broadcast", ("255.255.255.255/32",)),
)
# Not `is_private` of ipaddress: it counts the documentation's addresses, and more than people mean by it.
_LOCAL_NETWORKS = tuple(
    (kind, ipaddress.ip_network(network)) for kind, networks in _LOCAL for network in networks
)
_BRACKETED = re.compile(r"\[(?P<address>[^]]+)](?::(?P<port>\d{1,5}))?")
_URL = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]{0,20}://(?:[^/@\s]{0,100}@)?(?P<host>\[[^]]+](?::\d+)?|[^/?#\s]+)[^\s]*"
)
_ZONE = re.compile(r"%[A-Za-z0-9_.-]{1,32}(?=$|/)")  # of an IPv6 address: an interface of the sender's
_RANGE = re.compile(
    r"(?P<first>[0-9A-Fa-f.:]{3,45})\s{0,3}(?:-|\u2013|\.{2,3})\s{0,3}(?P<last>[0-9A-Fa-f.:]{3,45})"
)
_IPV4_PORT = re.compile(r"(?P<address>\d{1,3}(?:\.\d{1,3}){3}):(?P<port>\d{1,5})(?:/(?i:tcp|udp|sctp))?")
_PREFIX_LENGTH = r"(?:/\d{1,3}(?![\w/]))?"
_IPV4 = re.compile(rf"(?<![\w./])\d{{1,3}}(?:\.\d{{1,3}}){{3}}{_PREFIX_LENGTH}(?![\w.]*\w|/)")
_IPV6 = re.compile(
    rf"(?<![\w:./])[0-9A-Fa-f]{{1,4}}(?::[0-9A-Fa-f]{{0,4}}){{2,7}}{_PREFIX_LENGTH}(?![\w:./%])"
)
_SENDER = re.compile(r"(?i)(?:\b(?:from|by|src|source|sources|attacker|sender)\b\W{0,3})$")
_SEPARATED_DATE = re.compile(r"(\d{4})[/.](\d{2})[/.](\d{2})(?=[ T]|$)")
_RFC_2822 = re.compile(
    r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}(?::\d{2})? (?:GMT|UTC|UT|[+-]\d{4})"
)
_GO_TIME = re.compile(r"(?P<time>\d{4}-\d{2}-\d{2} \S+ [+-]\d{4}) \w{1,5}(?: m=\S+)?")


def text(value: object) -> str:
    """Text without space around it; numbers as text; everything else is empty."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) and number(value) is not None else ""


def line(value: object) -> str:
    """The same on one line and printable, for titles and names."""
    found = text(value)
    if not found.isprintable():
        found = "".join(letter if letter.isprintable() else " " for letter in found)
    return " ".join(found.split())


def number(value: object) -> float | None:
    """A finite number: 800, "800", "20,000", "1e6"."""
    if isinstance(value, str):
        value = value.strip()
        value = re.sub(r"[,_' ]", "", value) if _NUMBER.fullmatch(value) else None
    if value is None or isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def port(value: object) -> int | None:
    """A port from 1 to 65535, also alone in a list. 0 means that the source knows none."""
    return _whole(_alone(value), 1, _LARGEST_PORT)


def protocol(value: object) -> int | None:
    """An IP protocol's number: 6, "6", "TCP", ["udp"]. None for the word "IPv6", the version of IP."""
    value = _alone(value)
    word = text(value).lower()
    if word in PROTOCOL_NUMBERS and word != "ipv6":
        return PROTOCOL_NUMBERS[word]
    return _whole(value, 0, LARGEST_PROTOCOL)


def _whole(value: object, least: int, most: int) -> int | None:
    found = number(value)
    return int(found) if found is not None and found == int(found) and least <= found <= most else None


def _alone(value: object) -> object:
    """The one item of a list; any other value unchanged."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def severity(*words: object) -> Severity:
    """The first of `words` that is known, on our scale: P1 is critical, "warning" is medium, P5 is info."""
    return next(
        (_SEVERITIES[word] for each in words if (word := text(each).lower()) in _SEVERITIES), "unknown"
    )


def address(value: object) -> tuple[str, int | None] | None:
    """An address with the port beside it, if any.

    ::

        203.0.113.7  203.0.113.7/32     ("203.0.113.7", None)
        203.0.113.7:443                 ("203.0.113.7", 443)
        [2001:db8::7]:443               ("2001:db8::7", 443)
        2001:db8::7%eth0                ("2001:db8::7", None): a zone is the sender's own interface
        https://203.0.113.7:443/health  ("203.0.113.7", 443)
        198.51.100.9/24                 ("198.51.100.0/24", None)
        0.0.0.0  ::  0.0.0.0/0          None: they say that no address is known
    """
    written, beside = text(value), None
    if "://" in written and (url := _URL.fullmatch(written)):
        written = url["host"]
    if match := _BRACKETED.fullmatch(written) or _IPV4_PORT.fullmatch(written):
        written, beside = match["address"], port(match["port"])
    if ":" in written:
        written = _ZONE.sub("", written)
    try:
        network = ipaddress.ip_network(written, strict=False)
    except ValueError:
        return None
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if network.num_addresses == 1 and mapped is not None:
        network = ipaddress.ip_network(mapped)
    if network.prefixlen == 0 or network.network_address.is_unspecified or "%" in written:
        return None
    return (str(network.network_address) if network.num_addresses == 1 else str(network)), beside


def kind_of_local(found: str) -> str:
    """Why no packet from the Internet has this address or network as its destination; empty if one can.

    One of loopback, link-local, private (with the carriers' 100.64.0.0/10), multicast and broadcast.
    """
    network = ipaddress.ip_network(found)
    return next(
        (
            kind
            for kind, local in _LOCAL_NETWORKS
            if local.version == network.version and _within(network, local)
        ),
        "",
    )


def _within(inner: _Network, outer: _Network) -> bool:
    return inner.network_address in outer and inner.prefixlen >= outer.prefixlen


def networks_around(addresses: Sequence[str], most: int) -> tuple[str, ...]:
    """Networks that hold all of these: exactly them, or the smallest around them if that takes too many.

    Args:
        addresses: addresses and networks, of both versions of IP.
        most: networks of each version.
    """
    networks = [ipaddress.ip_network(each) for each in addresses]
    ipv4 = [each for each in networks if isinstance(each, ipaddress.IPv4Network)]
    ipv6 = [each for each in networks if isinstance(each, ipaddress.IPv6Network)]
    exact: list[list[_Network]] = [
        [*ipaddress.collapse_addresses(ipv4)],
        [*ipaddress.collapse_addresses(ipv6)],
    ]
    kept = [each if len(each) <= most else [_around(each)] for each in exact]
    return tuple(str(network) for each in kept for network in each)


def _around(networks: Sequence[_Network]) -> _Network:
    """The smallest network that holds all of these, of one version of IP."""
    first = min(int(each.network_address) for each in networks)
    last = max(int(each.broadcast_address) for each in networks)
    differs = (first ^ last).bit_length()
    one = networks[0]
    return type(one)((first >> differs << differs, one.max_prefixlen - differs))


def several(value: object) -> list[Any]:
    """A list, with the lists in it; text taken apart at commas, semicolons and spaces; else one value.

    At most 5000. A range of addresses, such as `203.0.113.0-203.0.113.63`, is the networks in it.
    """
    if isinstance(value, list):
        return _flat(value)[:MOST_ITEMS]
    if isinstance(value, str):
        value = _RANGE.sub(_networks_of, value)
        return [part for part in re.split(r"[,;|\s]+", value, maxsplit=MOST_ITEMS)[:MOST_ITEMS] if part]
    return [] if value is None else [value]


def _flat(items: list[Any]) -> list[Any]:
    """The items of a list and of the lists in it; of texts with a range of addresses, its networks."""
    for _ in range(_MOST_NESTED_LISTS):
        if not any(isinstance(item, list) for item in items):
            break
        items = [
            inner
            for item in items[:MOST_ITEMS]
            for inner in (item[:MOST_ITEMS] if isinstance(item, list) else [item])
        ]
    return [
        part
        for item in items[:MOST_ITEMS]
        for part in (several(item) if isinstance(item, str) and _RANGE.fullmatch(item) else [item])
    ]


def _networks_of(match: re.Match[str]) -> str:
    """The networks in a range, parted by spaces; a text that is none, unchanged."""
    try:
        ends = ipaddress.ip_address(match["first"]), ipaddress.ip_address(match["last"])
        return " ".join(str(network) for network in ipaddress.summarize_address_range(*ends))
    except (ValueError, TypeError):
        return match[0]


def address_in(sentence: str) -> str | None:
    """The one address or network that a sentence names; None if it names none or more than one.

    An address after a word such as "from" is a sender's, and does not count.
    """
    written = [*_IPV4.finditer(sentence), *_IPV6.finditer(sentence)]
    named = [match[0] for match in written if not _SENDER.search(sentence[: match.start()])]
    found = {each[0] for match in named if (each := address(match))}
    return found.pop() if len(found) == 1 else None


def colo(value: object) -> str | None:
    """A data centre such as ord02 or a city such as ORD."""
    word = text(value)
    return word if COLO.fullmatch(word) else None


def moment(value: object) -> datetime | None:
    """A time from 2000 to 2100 in UTC.

    RFC 3339 (without a zone it is taken for UTC), also with slashes or dots in the date; RFC 2822; Go's own
    form; or a Unix time in seconds, milliseconds, microseconds or nanoseconds, also as text. Go's zero time
    `0001-01-01T00:00:00Z` and Unix's 0 mean that none is known.
    """
    unix = number(value)
    try:
        if unix is not None:
            found = _EPOCH + timedelta(seconds=unix / _unix_scale(unix))
        else:
            found = _written(text(value))
            found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if _EARLIEST <= found < _LATEST else None


def _written(written: str) -> datetime:
    """The time in a text, perhaps without a zone.

    Raises:
        ValueError: it is none that is known.
    """
    if go := _GO_TIME.fullmatch(written):
        written = go["time"]
    if _RFC_2822.fullmatch(written):
        return parsedate_to_datetime(written)
    return datetime.fromisoformat(re.sub(r" ?UTC$", "Z", _SEPARATED_DATE.sub(r"\1-\2-\3", written)))


def _unix_scale(unix: float) -> float:
    """By how much to divide: seconds have ten digits until the year 2286."""
    return next((scale for scale in (1.0, 1e3, 1e6) if abs(unix) < 1e11 * scale), 1e9)


def rate(value: object) -> tuple[float, Unit] | None:
    """A rate and its unit.

    ::

        800  "800"              (800.0, "")
        "800.00 pps"            (800.0, "pps")
        "500K pps" "20,000 pps" (500000.0, "pps") (20000.0, "pps")
        "1.2 Gbps" "150 MB/s"   (1200000000.0, "bps") (1200000000.0, "bps")
    """
    bare = number(value)
    if bare is None and isinstance(value, str) and (match := _NUMBER.match(value.strip())):
        rest = value.strip()[match.end() :].strip()
        for scale in (rest[:1], ""):
            word = rest[len(scale) :].strip()
            for pattern, unit, factor in _UNITS:
                if (
                    scale.lower() in _SCALES
                    and pattern.fullmatch(word)
                    and (size := number(match[0])) is not None
                ):
                    return _plausible(size * _SCALES[scale.lower()] * factor, unit)
    return None if bare is None else _plausible(bare, "")


def _plausible(size: float, unit: Unit) -> tuple[float, Unit] | None:
    return (size, unit) if 0 <= size <= LARGEST_RATE else None
