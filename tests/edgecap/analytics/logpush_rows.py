"""Rows as Logpush writes them, with all that a packet's headers need; and files of them."""

import gzip
import json
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
TARGET = "203.0.113.7"
_IP = {
    "IPSourceAddress": "198.51.100.9",
    "IPDestinationAddress": TARGET,
    "IPHeaderLength": 5,
    "IPTTL": 57,
    "IPFragmentOffset": 0,
    "IPMoreFragments": 0,
    "IPv4DSCP": 10,
    "IPv4ECN": 1,
    "IPv4DontFragment": 1,
    "IPv4Identification": 4242,
}
_DROPPED = {
    "Outcome": "drop",
    "MitigationSystem": "dosd",
    "MitigationReason": "BLOCKED",
    "RuleID": "fdfdac75430c4c47a959592f0aa5e68a",
    "RuleName": "Generic high-volume floods",
    "AttackID": "6e1f0a8c",
    "AttackVector": "SYN Flood",
}
_WHERE = {"ColoCode": "ORD", "SourceCountry": "NL", "SourceASN": 64500, "SourceASNName": "EXAMPLE-CLOUD"}
_TCP = {
    "IPProtocol": 6,
    "IPTotalLength": 40,
    "SourcePort": 40_001,
    "DestinationPort": 443,
    "TCPFlags": 2,
    "TCPSequenceNumber": 3_000_000_000,
    "TCPAcknowledgementNumber": 0,
    "TCPDataOffset": 5,
    "TCPWindowSize": 64_240,
    "TCPUrgentPointer": 0,
    "TCPChecksum": 0xBEEF,
}
_UDP = {
    "IPProtocol": 17,
    "IPTotalLength": 540,
    "SourcePort": 53,
    "DestinationPort": 50_000,
    "UDPPayloadLength": 512,
    "UDPChecksum": 0xCAFE,
}
_ICMP = {"IPProtocol": 1, "IPTotalLength": 84, "ICMPType": 8, "ICMPCode": 0, "ICMPChecksum": 0xF00D}
_GRE = {"IPProtocol": 47, "IPTotalLength": 124, "GREEtherType": 0x0800, "GREHeaderLength": 4, "GREVersion": 0}
KINDS = {
    "tcp": _TCP,
    "udp": _UDP,
    "icmp": _ICMP,
    "gre": _GRE,
    "esp": {"IPProtocol": 50, "IPTotalLength": 120},
}
SIX = {
    "IPSourceAddress": "2001:db8::9",
    "IPDestinationAddress": "2001:db8:cafe::7",
    "IPTTL": 57,
    "IPv6DSCP": 10,
    "IPv6ECN": 1,
    "IPv6FlowLabel": 0x12345,
}


def row(kind="tcp", *, at=NOON, without=(), six=False, **fields):
    """One row of a dropped packet; `fields` replace or add values."""
    base = SIX if six else _IP
    made = {"Datetime": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}", "SampleInterval": 1000}
    made |= {**base, **KINDS[kind], **_DROPPED, **_WHERE}
    if six and kind == "icmp":
        made |= {"IPProtocol": 58, "ICMPType": 128}
    if six and "IPTotalLength" in made:
        made["IPTotalLength"] += 20
    return {name: value for name, value in (made | fields).items() if name not in without}


def passed(kind="tcp", **fields):
    """One row of a packet that no rule matched."""
    return row(kind, Outcome="pass", without=[*_DROPPED.keys() - {"Outcome"}], **fields)


def lines(*rows):
    return b"".join(json.dumps(each).encode() + b"\n" for each in rows)


def put(store, *rows, at=NOON, minutes=5, name="ab12cd34", data=None):
    """A file of a batch that begins at a time, in a folder of its day."""
    ends = at + timedelta(minutes=minutes)
    key = f"{at:%Y%m%d}/{at:%Y%m%dT%H%M%SZ}_{ends:%Y%m%dT%H%M%SZ}_{name}.log.gz"
    store.put(key, gzip.compress(lines(*rows)) if data is None else data)
    return key
