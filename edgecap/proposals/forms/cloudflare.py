"""Cloudflare's Network Firewall (formerly Magic Firewall): an expression in its Rules language.

Fields: https://developers.cloudflare.com/cloudflare-network-firewall/reference/network-firewall-fields/
Operators, sets and ranges: https://developers.cloudflare.com/ruleset-engine/rules-language/operators/ and
.../values/. `bit_slice` counts bits from the beginning of a protocol's header:
https://developers.cloudflare.com/ruleset-engine/rules-language/functions/#bit_slice

The protocol is always named, since the firewall does not infer it on every account, and of IPv6 only the
addresses can be matched:
https://developers.cloudflare.com/cloudflare-network-firewall/about/unified-routing-changes/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edgecap.proposals.forms.form import Form, NotExpressible, ranges_text
from edgecap.proposals.table import TCP, V6
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

LONGEST: Final = 4096
"""Characters of an expression, after .../ruleset-engine/rules-language/expressions/."""
NAMES: Final = {1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp"}
"""The values of `ip.proto` that the documentation shows; a protocol without one is compared by its number."""
_FLAGS: Final = {
    0x01: "tcp.flags.fin",
    0x02: "tcp.flags.syn",
    0x04: "tcp.flags.reset",
    0x08: "tcp.flags.push",
    0x10: "tcp.flags.ack",
    0x20: "tcp.flags.urg",
    0x40: "tcp.flags.ecn",
    0x80: "tcp.flags.cwr",
}
_PLAIN: Final = {
    Field.LENGTH: "ip.len",
    Field.TTL: "ip.ttl",
    Field.ICMP_TYPE: "icmp.type",
    Field.ICMP_CODE: "icmp.code",
    Field.WINDOW: "bit_slice(tcp, 112, 128)",
    Field.PAYLOAD: "bit_slice(udp, 64, 96)",
}
_PROTOCOL = "bit_slice(ip, 72, 80)"
_OFFSET = "bit_slice(ip, 51, 64)"  # of a fragment, in IPv4's header
_MORE_AND_OFFSET = "bit_slice(ip, 50, 64)"  # the bit for more fragments, and the offset


def write(found: TrafficFilter) -> str:
    """The expression.

    Raises:
        NotExpressible: a field is not in the language, or it would be too long.
    """
    parts = [part for test in found.tests if isinstance(test, Networks) for part in _networks(test)]
    rest = [test for test in found.tests if not isinstance(test, Networks)]
    if found.version == V6:
        if found.protocol is not None or rest:
            raise NotExpressible("of IPv6 packets, the Network Firewall matches only the addresses")
        if not parts:
            parts.append("ip.src in {::/0}")
    if found.protocol is not None:
        name = NAMES.get(found.protocol)
        parts.append(f'ip.proto eq "{name}"' if name else f"{_PROTOCOL} eq {found.protocol}")
    for test in rest:
        parts += _others(test, found.protocol)
    text = " and ".join(parts or ["ip.src in {0.0.0.0/0}"])
    if len(text) > LONGEST:
        raise NotExpressible(f"an expression has at most {LONGEST:,} characters, this one {len(text):,}")
    return text


def _networks(test: Networks) -> Iterator[str]:
    field = "ip.src" if test.side == "source" else "ip.dst"
    yield f"{field} in {{{' '.join(map(network_words, test.networks))}}}"


def _others(test: Test, protocol: int | None) -> Iterator[str]:
    if isinstance(test, Flags):
        for bit, name in _FLAGS.items():
            if test.mask & bit:
                yield name if test.value & bit else f"not {name}"
    elif isinstance(test, Fragments):
        yield f"{_OFFSET if test.later else _MORE_AND_OFFSET} gt 0"
    elif isinstance(test, Values):
        layer = "tcp" if protocol == TCP else "udp"
        field = {Field.SOURCE_PORT: f"{layer}.srcport", Field.DESTINATION_PORT: f"{layer}.dstport"}.get(
            test.field
        ) or _PLAIN[test.field]
        yield _values(field, test)


def _values(field: str, test: Values) -> str:
    first, last = test.ranges[0]
    if len(test.ranges) > 1:
        return f"{field} in {{{ranges_text(test.ranges, '..', ' ')}}}"
    if first == last:
        return f"{field} eq {first}"
    if last == LARGEST[test.field]:
        return f"{field} ge {first}"
    return f"{field} le {last}" if not first else f"{field} in {{{first}..{last}}}"


FORM = Form("cloudflare", "Cloudflare Network Firewall", write)
