"""tcpdump: an expression in pcap-filter's language (https://www.tcpdump.org/manpages/pcap-filter.7.html).

IPv6's next header is compared where it is, as libpcap looks behind no extension header with `ip6[...]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edgecap.proposals.forms.form import Form
from edgecap.proposals.table import TCP, UDP, V4
from edgecap.proposals.traffic_filter import (
    LARGEST,
    Field,
    Flags,
    Fragments,
    Networks,
    Test,
    TrafficFilter,
    Values,
    network_words,
)

_FIXED: Final = {Field.LENGTH: "ip[2:2]", Field.TTL: "ip[8]"}
_FIXED_V6: Final = {
    Field.LENGTH: "ip6[4:2] + 40",
    Field.TTL: "ip6[7]",
    Field.SOURCE_PORT: "ip6[40:2]",
    Field.DESTINATION_PORT: "ip6[42:2]",
    Field.ICMP_TYPE: "ip6[40]",
    Field.ICMP_CODE: "ip6[41]",
    Field.WINDOW: "ip6[54:2]",
    Field.PAYLOAD: "ip6[48:4]",
}
_BEHIND: Final = {
    Field.ICMP_TYPE: "icmp[0]",
    Field.ICMP_CODE: "icmp[1]",
    Field.WINDOW: "tcp[14:2]",
    Field.PAYLOAD: "udp[8:4]",
}
_LAYER: Final = {TCP: "tcp", UDP: "udp"}
_WORD = 12  # bytes of a UDP header with a payload of four bytes


def write(found: TrafficFilter) -> str:
    """The expression. Everything can be said."""
    six = found.version != V4
    parts = ["ip6" if six else "ip"]
    if found.protocol is not None:
        parts.append(f"ip6[6] = {found.protocol}" if six else f"ip proto {found.protocol}")
    for test in found.tests:
        parts += _test(test, found.protocol, six=six)
    return " and ".join(parts)


def _test(test: Test, protocol: int | None, *, six: bool) -> Iterator[str]:
    if isinstance(test, Networks):
        yield _networks(test, six=six)
    elif isinstance(test, Flags):
        where = "ip6[53]" if six else "tcp[13]"
        yield f"{where} & {test.mask:#04x} = {test.value:#04x}"
    elif isinstance(test, Fragments):
        yield f"ip[6:2] & {'0x1fff' if test.later else '0x3fff'} != 0"
    else:
        if test.field is Field.PAYLOAD:
            # Padding behind a short packet is no payload.
            yield f"ip6[4:2] >= {_WORD}" if six else f"ip[2:2] - ((ip[0] & 0xf) << 2) >= {_WORD}"
        yield _values(test, protocol, six=six)


def _networks(test: Networks, *, six: bool) -> str:
    side = "src" if test.side == "source" else "dst"
    kind = "ip6" if six else "ip"
    return _any(
        f"{kind} {side} {'host' if each.prefixlen == each.max_prefixlen else 'net'} {network_words(each)}"
        for each in test.networks
    )


def _values(test: Values, protocol: int | None, *, six: bool) -> str:
    layer = _LAYER.get(protocol or 0, "")
    if not six and test.field in (Field.SOURCE_PORT, Field.DESTINATION_PORT):
        side = "src" if test.field is Field.SOURCE_PORT else "dst"
        return _any(
            f"{layer} {side} port {first}" if first == last else f"{layer} {side} portrange {first}-{last}"
            for first, last in test.ranges
        )
    where = _FIXED_V6[test.field] if six else _FIXED.get(test.field) or _BEHIND[test.field]
    shown = "#010x" if test.field is Field.PAYLOAD else "d"
    return _any(_between(where, first, last, LARGEST[test.field], shown) for first, last in test.ranges)


def _between(where: str, first: int, last: int, largest: int, shown: str) -> str:
    low, high = format(first, shown), format(last, shown)
    if first == last:
        return f"{where} = {low}"
    if last == largest:
        return f"{where} >= {low}"
    if not first:
        return f"{where} <= {high}"
    return f"({where} >= {low} and {where} <= {high})"


def _any(parts: Iterator[str]) -> str:
    listed = list(parts)
    return listed[0] if len(listed) == 1 else f"({' or '.join(listed)})"


FORM = Form("tcpdump", "tcpdump", write)
