"""The dimensions of Network Analytics: names, types, and their values for a sampled packet.

Source countries and networks are made up from the address, since all addresses are documentation ranges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal
from zlib import crc32

from edgecap.protocols import protocol_name
from edgecap.simulator.analytics.rows import Row, written
from edgecap.simulator.traffic import colos
from edgecap.simulator.traffic.attacks import Attack
from edgecap.simulator.traffic.times import SECOND

Value = str | int
Kind = Literal["string", "Time", "uint64"]
_IP4_VERSION, _IP6_HEADER, _LINK, _TCP = 4, 40, 14, 6
_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
_NETWORKS = (
    (64496, "EXAMPLE-TRANSIT", "US"),
    (64497, "EXAMPLE-HOSTING", "NL"),
    (64498, "EXAMPLE-CABLE", "BR"),
    (64499, "EXAMPLE-MOBILE", "IN"),
    (64500, "EXAMPLE-CLOUD", "DE"),
    (64501, "EXAMPLE-FIBRE", "VN"),
    (64502, "EXAMPLE-DSL", "ID"),
    (64503, "EXAMPLE-UNIVERSITY", "JP"),
)


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension of a node.

    Attributes:
        kind: its type in the schema.
        of: its value for a row.
    """

    kind: Kind
    of: Callable[[Row], Value]


def network_of(address: bytes) -> tuple[int, str, str]:
    """The made-up number, name and country of the network that an address belongs to."""
    return _NETWORKS[crc32(address) % len(_NETWORKS)]


def flags_of(frame: bytes) -> int:
    """The TCP flags of an Ethernet frame; 0 if it has none."""
    at, protocol = _transport(frame)
    return frame[at + 13] if protocol == _TCP and len(frame) > at + 13 else 0


def flag_names(flags: int) -> str:
    """TCP flags in words, such as `SYN ACK`."""
    return " ".join(name for bit, name in enumerate(_FLAGS) if flags >> bit & 1)


@lru_cache(maxsize=8192)
def moment(seconds: int) -> str:
    """Seconds since 1970 UTC in RFC 3339, as analytics write a time."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _transport(frame: bytes) -> tuple[int, int]:
    if frame[_LINK] >> 4 == _IP4_VERSION:
        return _LINK + (frame[_LINK] & 15) * 4, frame[_LINK + 9]
    return _LINK + _IP6_HEADER, frame[_LINK + 6]


def _every(seconds: int) -> Dimension:
    return Dimension("Time", lambda row: moment(row.time_ns // (seconds * SECOND) * seconds))


def _text(of: Callable[[Row], str]) -> Dimension:
    return Dimension("string", of)


def _number(of: Callable[[Row], int]) -> Dimension:
    return Dimension("uint64", of)


def _attack(of: Callable[[Attack], str]) -> Dimension:
    return _text(lambda row: of(row.source.attack) if row.source.attack else "")


def _rule(name: str) -> Dimension:
    return _text(lambda row: getattr(row.rule, name) if row.rule else "")


DIMENSIONS: dict[str, Dimension] = {
    "datetime": _every(1),
    "datetimeTenSeconds": _every(10),
    "datetimeMinute": _every(60),
    "datetimeFiveMinutes": _every(300),
    "datetimeFifteenMinutes": _every(900),
    "datetimeHour": _every(3600),
    "coloCode": _text(lambda row: row.colo),
    "coloCity": _text(lambda row: colos.PLACES[row.colo][0]),
    "coloCountry": _text(lambda row: colos.PLACES[row.colo][1]),
    "coloName": _text(lambda row: row.server.partition("-")[0]),
    "ipDestinationAddress": _text(lambda row: row.target),
    "ipSourceAddress": _text(lambda row: written(row.headers.source)),
    "ipProtocol": _number(lambda row: row.protocol),
    "ipProtocolName": _text(lambda row: protocol_name(row.protocol).upper()),
    "ipTotalLength": _number(lambda row: row.bits // 8),
    "destinationPort": _number(lambda row: row.headers.destination_port or 0),
    "sourcePort": _number(lambda row: row.headers.source_port or 0),
    "sourceAsn": _text(lambda row: str(network_of(row.headers.source)[0])),
    "sourceAsnName": _text(lambda row: network_of(row.headers.source)[1]),
    "sourceCountry": _text(lambda row: network_of(row.headers.source)[2]),
    "tcpFlags": _number(lambda row: flags_of(row.packet.data)),
    "tcpFlagsString": _text(lambda row: flag_names(flags_of(row.packet.data))),
    "direction": _text(lambda _: "ingress"),
    "outcome": _text(lambda row: "drop" if row.rule else "pass"),
    "verdict": _text(lambda row: "drop" if row.rule else "pass"),
    "mitigationSystem": _rule("system"),
    "mitigationReason": _text(lambda row: row.reason),
    "ruleId": _rule("id"),
    "ruleName": _rule("name"),
    "rulesetId": _rule("ruleset"),
    "attackId": _rule("attack_id"),
    "attackVector": _rule("vector"),
    "attackType": _attack(lambda attack: attack.kind.replace("_", " ").upper()),
    "startDatetime": Dimension("Time", lambda row: moment(row.source.begin // SECOND)),
    "endDatetime": Dimension("Time", lambda row: moment(row.source.end // SECOND)),
    "sourceIp": _text(lambda row: written(row.headers.source)),
    "dnsQueryName": _text(lambda _: ""),
    "dnsQueryType": _text(lambda _: ""),
}
METRO = _text(lambda row: colos.METRO_CODES.get(row.colo, row.colo))
"""`coloCode`, as one variant has it."""
OF_ATTACKS = frozenset({"attackType", "startDatetime", "endDatetime", "sourceIp"})
"""Dimensions of the node that has one row for each attack, and of no other."""
OF_DNS = frozenset({"dnsQueryName", "dnsQueryType"})
"""Dimensions of the node of DNS protection, and of no other."""
