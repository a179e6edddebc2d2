"""A filter for people, such as `IPv4 UDP from port 123 to 203.0.113.7, 468 bytes long`."""

from __future__ import annotations

from typing import Final

from edgecap.packets.names import flags_name, icmp_name
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
    name_of,
    network_words,
)
from edgecap.protocols import protocol_name

_ORDER: Final = (
    "flags",
    "fragments",
    "source",
    Field.SOURCE_PORT,
    "destination",
    Field.DESTINATION_PORT,
    Field.ICMP_TYPE,
    Field.ICMP_CODE,
    Field.LENGTH,
    Field.TTL,
    Field.WINDOW,
    Field.PAYLOAD,
)
_BEFORE: Final = {
    Field.SOURCE_PORT: "from port",
    Field.DESTINATION_PORT: "to port",
    Field.ICMP_CODE: "of code",
}
_BEHIND: Final = {Field.LENGTH: "{} bytes long", Field.TTL: "TTL {}", Field.WINDOW: "TCP window {}"}


def filter_words(found: TrafficFilter) -> str:
    """The filter in a line."""
    kind = "packets" if found.protocol is None else protocol_name(found.protocol).upper()
    parts = [f"IPv{found.version} {kind}"]
    behind = []
    for test in sorted(found.tests, key=lambda each: _ORDER.index(name_of(each))):
        words = _words(test, found.version)
        if isinstance(test, Values) and (test.field in _BEHIND or test.field is Field.PAYLOAD):
            behind.append(words)
        else:
            parts.append(words)
    return ", ".join([" ".join(parts), *behind])


def _words(test: Test, version: int) -> str:
    if isinstance(test, Networks):
        listed = ", ".join(map(network_words, test.networks))
        return f"{'from' if test.side == 'source' else 'to'} {listed}"
    if isinstance(test, Flags):
        return _flags_words(test)
    if isinstance(test, Fragments):
        return "later fragments" if test.later else "fragments"
    return _values_words(test, version)


def _values_words(test: Values, version: int) -> str:
    listed = ", ".join(_range_words(each, LARGEST[test.field]) for each in test.ranges)
    many = "s" if test.count > 1 else ""
    if test.field in _BEHIND:
        return _BEHIND[test.field].format(listed)
    if test.field is Field.PAYLOAD:
        shown = (
            f"0x{first:08x}" if first == last else f"0x{first:08x} to 0x{last:08x}"
            for first, last in test.ranges
        )
        return f"payload that begins with {' or '.join(shown)}"
    if test.field is Field.ICMP_TYPE:
        name = "" if many else f" ({icmp_name(version, test.ranges[0][0])})"
        return f"of type{many} {listed}{name}"
    return f"{_BEFORE[test.field]}{many} {listed}"


def _range_words(bounds: Range, largest: int) -> str:
    first, last = bounds
    if first == last:
        return str(first)
    if last == largest:
        return f"{first} or more"
    return f"at most {last}" if not first else f"{first} to {last}"


def _flags_words(test: Flags) -> str:
    clear = test.mask & ~test.value
    if not test.value:
        return f"without {flags_name(clear).replace('+', ', ')}"
    if not clear:
        return f"with {flags_name(test.value)}"
    return f"with {flags_name(test.value)} and without {flags_name(clear).replace('+', ', ')}"
