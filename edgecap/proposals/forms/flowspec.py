"""BGP FlowSpec (RFC 8955, RFC 8956 for IPv6), in ExaBGP's text: a line for its API, or for a `flow` section.

https://github.com/Exa-Networks/exabgp/wiki/FlowSpec-Overview, .../Match-Conditions. The action is `discard`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv6Network
from itertools import product
from typing import Final

from edgecap.proposals.forms.form import Form, NotExpressible
from edgecap.proposals.table import V4
from edgecap.proposals.traffic_filter import (
    LARGEST,
    Field,
    Flags,
    Fragments,
    Network,
    Networks,
    Range,
    Test,
    TrafficFilter,
    Values,
)

MOST_ROUTES = 32
_FIELDS: Final = {
    Field.SOURCE_PORT: "source-port",
    Field.DESTINATION_PORT: "destination-port",
    Field.LENGTH: "packet-length",
    Field.ICMP_TYPE: "icmp-type",
    Field.ICMP_CODE: "icmp-code",
}
_MISSING: Final = {
    Field.TTL: "the TTL",
    Field.WINDOW: "the TCP window",
    Field.PAYLOAD: "the payload",
}
_FLAGS: Final = {
    0x01: "fin",
    0x02: "syn",
    0x04: "rst",
    0x08: "push",
    0x10: "ack",
    0x20: "urg",
    0x40: "ece",
    0x80: "cwr",
}


def write(found: TrafficFilter) -> str:
    """The routes, one in a line: a route has one network on each side.

    Raises:
        NotExpressible: a field is not in FlowSpec, or there would be too many routes.
    """
    sides: dict[str, Sequence[Network | None]] = {
        test.side: test.networks for test in found.tests if isinstance(test, Networks)
    }
    if found.version != V4 and not sides:
        sides["destination"] = (IPv6Network("::/0"),)  # so that it is a route of IPv6
    pairs = list(product(sides.get("destination", (None,)), sides.get("source", (None,))))
    if len(pairs) > MOST_ROUTES:
        raise NotExpressible(f"it would take {len(pairs)} routes, one for each pair of networks")
    common = list(_common(found))
    lines = []
    for destination, source in pairs:
        match = [f"destination {destination}"] if destination else []
        match += [f"source {source}"] if source else []
        if not (match or common):
            raise NotExpressible("a route without any condition would match everything")
        conditions = " ".join(f"{each};" for each in (*match, *common))
        lines.append(f"announce flow route {{ match {{ {conditions} }} then {{ discard; }} }}")
    return "\n".join(lines)


def _common(found: TrafficFilter) -> Iterator[str]:
    if found.protocol is not None:
        yield f"{'protocol' if found.version == V4 else 'next-header'} ={found.protocol}"
    for test in found.tests:
        yield from _test(test)


def _test(test: Test) -> Iterator[str]:
    if isinstance(test, Flags):
        bits = [
            f"{'=' if test.value & bit else '!='}{name}" for bit, name in _FLAGS.items() if test.mask & bit
        ]
        yield f"tcp-flags [ {'&'.join(bits)} ]"
    elif isinstance(test, Fragments):
        # `is-fragment` is one other than the first (RFC 8955, 4.2.2.12).
        yield f"fragment [ {'is-fragment' if test.later else 'is-fragment first-fragment'} ]"
    elif isinstance(test, Values):
        if test.field not in _FIELDS:
            raise NotExpressible(f"FlowSpec cannot look at {_MISSING[test.field]}")
        listed = " ".join(_range(each, LARGEST[test.field]) for each in test.ranges)
        yield f"{_FIELDS[test.field]} [ {listed} ]" if " " in listed else f"{_FIELDS[test.field]} {listed}"


def _range(bounds: Range, largest: int) -> str:
    first, last = bounds
    if first == last:
        return f"={first}"
    if last == largest:
        return f">={first}"
    return f"<={last}" if not first else f">={first}&<={last}"


FORM = Form("flowspec", "BGP FlowSpec (ExaBGP)", write)
