"""nftables: a rule for a chain of a table of family `inet` (nft(8), https://wiki.nftables.org).

Text that `nft` takes in a file; the rule counts and drops.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edgecap.proposals.forms.form import Form, ranges_text
from edgecap.proposals.table import ICMP, TCP, V4
from edgecap.proposals.traffic_filter import (
    LARGEST,
    Field,
    Flags,
    Fragments,
    Networks,
    Range,
    Test,
    TrafficFilter,
    Values,
    network_words,
)

_HEADER_V6 = 40  # bytes, which IPv6's length leaves out
_FLAGS: Final = {
    0x01: "fin",
    0x02: "syn",
    0x04: "rst",
    0x08: "psh",
    0x10: "ack",
    0x20: "urg",
    0x40: "ecn",
    0x80: "cwr",
}
_VERDICT = "counter drop"


def write(found: TrafficFilter) -> str:
    """The rule. Everything can be said."""
    six = found.version != V4
    # `meta protocol` holds in tables of the families inet, bridge and netdev, and in ip and ip6.
    parts = [f"meta nfproto {'ipv6' if six else 'ipv4'}"]
    if found.protocol is not None:
        parts.append(f"{'ip6 nexthdr' if six else 'ip protocol'} {found.protocol}")
    if not six and any(map(_looks_behind_ip, found.tests)):
        # Without this, the kernel takes the first bytes of a later fragment for ports.
        parts.append("ip frag-off & 0x1fff == 0")
    for test in found.tests:
        parts += _test(test, found.protocol, six=six)
    return " ".join([*parts, _VERDICT])


def _looks_behind_ip(test: Test) -> bool:
    """Whether a test compares a field of TCP, UDP or ICMP."""
    if isinstance(test, Values):
        return test.field not in (Field.LENGTH, Field.TTL)
    return isinstance(test, Flags)


def _test(test: Test, protocol: int | None, *, six: bool) -> Iterator[str]:
    family = "ip6" if six else "ip"
    if isinstance(test, Networks):
        side = "saddr" if test.side == "source" else "daddr"
        yield f"{family} {side} {_one_of(list(map(network_words, test.networks)))}"
    elif isinstance(test, Flags):
        yield _flags(test)
    elif isinstance(test, Fragments):
        yield f"ip frag-off & {'0x1fff' if test.later else '0x3fff'} != 0"
    else:
        yield f"{_field(test.field, protocol, family)} {_values(test, six=six)}"


def _field(field: Field, protocol: int | None, family: str) -> str:
    layer = "tcp" if protocol == TCP else "udp"
    icmp = "icmp" if protocol == ICMP else "icmpv6"
    return {
        Field.SOURCE_PORT: f"{layer} sport",
        Field.DESTINATION_PORT: f"{layer} dport",
        Field.LENGTH: f"{family} length",
        Field.TTL: "ip6 hoplimit" if family == "ip6" else "ip ttl",
        Field.ICMP_TYPE: f"{icmp} type",
        Field.ICMP_CODE: f"{icmp} code",
        Field.WINDOW: "tcp window",
        Field.PAYLOAD: "@th,64,32",
    }[field]


def _values(test: Values, *, six: bool) -> str:
    ranges: tuple[Range, ...] = test.ranges
    if test.field is Field.LENGTH and six:
        ranges = tuple(_without_header(*each) for each in ranges)
    return _one_of(ranges_text(ranges, "-", "|").split("|"))


def _without_header(first: int, last: int) -> Range:
    """A range of lengths as IPv6 counts them; one without an upper end keeps none."""
    top = last if last == LARGEST[Field.LENGTH] else max(0, last - _HEADER_V6)
    return max(0, first - _HEADER_V6), top


def _one_of(listed: list[str]) -> str:
    return listed[0] if len(listed) == 1 else f"{{ {', '.join(listed)} }}"


def _flags(test: Flags) -> str:
    mask, value = (_bits(number) for number in (test.mask, test.value))
    return f"tcp flags & ({mask}) == {value}" if "|" in mask else f"tcp flags & {mask} == {value}"


def _bits(number: int) -> str:
    return " | ".join(name for bit, name in _FLAGS.items() if number & bit) or "0x0"


FORM = Form("nftables", "nftables", write)
