"""A packet's headers as fields of Logpush's dataset `network_analytics_logs`."""

from __future__ import annotations

import struct
from ipaddress import ip_address, ip_network
from typing import Any

from edgecap.protocols import protocol_name
from edgecap.simulator.analytics.fields import flag_names

_LINK = 14
_IP4 = struct.Struct("!BBHHHBBH4s4s")
_IP6 = struct.Struct("!IHBB16s16s")
_TCP = struct.Struct("!HHIIHHHH")
_UDP = struct.Struct("!HHHH")
_ICMP = struct.Struct("!BBH")
_TCP_NUMBER, _UDP_NUMBER, _ICMP_NUMBERS = 6, 17, (1, 58)
_FOUR = 4
_END, _NOTHING, _MSS, _SCALE, _SACK_PERMITTED, _SACK, _TIMES = 0, 1, 2, 3, 4, 5, 8


def header_fields(frame: bytes) -> dict[str, Any]:
    """The fields of the IP and transport headers of an Ethernet frame."""
    four = frame[_LINK] >> 4 == _FOUR
    fields, at, protocol, first = _ip4(frame) if four else _ip6(frame)
    fields |= {"IPProtocol": protocol, "IPProtocolName": protocol_name(protocol).upper()}
    if not first:
        return fields  # a later fragment has no transport header
    if protocol == _TCP_NUMBER:
        fields |= _tcp(frame, at)
    elif protocol == _UDP_NUMBER:
        source, destination, length, checksum = _UDP.unpack_from(frame, at)
        fields |= {
            "SourcePort": source,
            "DestinationPort": destination,
            "UDPChecksum": checksum,
            "UDPPayloadLength": length - _UDP.size,
        }
    elif protocol in _ICMP_NUMBERS:
        kind, code, checksum = _ICMP.unpack_from(frame, at)
        fields |= {"ICMPType": kind, "ICMPCode": code, "ICMPChecksum": checksum}
    return fields


def _ip4(frame: bytes) -> tuple[dict[str, Any], int, int, bool]:
    """The fields, where the transport header is, its protocol, and whether it is there."""
    first, service, total, ident, fragment, ttl, protocol, checksum, source, destination = _IP4.unpack_from(
        frame, _LINK
    )
    length = (first & 15) * 4
    fields = {
        "IPHeaderLength": length,
        "IPTotalLength": total,
        "IPTTL": ttl,
        "IPFragmentOffset": fragment & 0x1FFF,
        "IPMoreFragments": fragment >> 13 & 1,
        "IPv4DontFragment": fragment >> 14 & 1,
        "IPv4Identification": ident,
        "IPv4Checksum": checksum,
        "IPv4DSCP": service >> 2,
        "IPv4ECN": service & 3,
        "IPv4Options": "",
        **_addresses(source, destination),
    }
    return fields, _LINK + length, protocol, not fragment & 0x1FFF


def _ip6(frame: bytes) -> tuple[dict[str, Any], int, int, bool]:
    first, payload, protocol, hops, source, destination = _IP6.unpack_from(frame, _LINK)
    fields = {
        "IPHeaderLength": _IP6.size,
        "IPTotalLength": _IP6.size + payload,
        "IPTTL": hops,
        "IPFragmentOffset": 0,
        "IPMoreFragments": 0,
        "IPv6DSCP": first >> 22 & 63,
        "IPv6ECN": first >> 20 & 3,
        "IPv6FlowLabel": first & 0xFFFFF,
        "IPv6Identification": 0,
        "IPv6ExtensionHeaders": "",
        **_addresses(source, destination),
    }
    return fields, _LINK + _IP6.size, protocol, True


def _addresses(source: bytes, destination: bytes) -> dict[str, Any]:
    bits = 24 if len(source) == _FOUR else 64
    fields = {}
    for name, packed in (("IPSource", source), ("IPDestination", destination)):
        fields[f"{name}Address"] = str(ip_address(packed))
        fields[f"{name}Subnet"] = str(ip_network((packed, bits), strict=False))
    return fields


def _tcp(frame: bytes, at: int) -> dict[str, Any]:
    source, destination, sequence, acknowledged, control, window, checksum, urgent = _TCP.unpack_from(
        frame, at
    )
    length = (control >> 12) * 4
    return {
        "SourcePort": source,
        "DestinationPort": destination,
        "TCPSequenceNumber": sequence,
        "TCPAcknowledgementNumber": acknowledged,
        "TCPDataOffset": control >> 12,
        "TCPFlags": control & 0xFF,
        "TCPFlagsString": flag_names(control & 0xFF),
        "TCPWindowSize": window,
        "TCPChecksum": checksum,
        "TCPUrgentPointer": urgent,
        **_tcp_options(frame[at + _TCP.size : at + length]),
    }


def _tcp_options(options: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "TCPMSS": 0,
        "TCPWindowScale": 0,
        "TCPSACKPermitted": 0,
        "TCPSACKBlocks": "",
        "TCPTimestampValue": 0,
        "TCPTimestampECR": 0,
    }
    numbers, at = [], 0
    while at < len(options) and options[at] != _END:
        kind = options[at]
        numbers.append(str(kind))
        if kind == _NOTHING:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        value = options[at + 2 : at + size]
        if size < 2 or len(value) != size - 2:  # noqa: PLR2004 - kind and length
            break
        if kind in (_MSS, _SCALE):
            fields["TCPMSS" if kind == _MSS else "TCPWindowScale"] = int.from_bytes(value, "big")
        elif kind == _SACK_PERMITTED:
            fields["TCPSACKPermitted"] = 1
        elif kind == _SACK:
            edges = [str(edge) for (edge,) in struct.iter_unpack("!I", value)]
            fields["TCPSACKBlocks"] = ",".join(edges)
        elif kind == _TIMES:
            fields["TCPTimestampValue"], fields["TCPTimestampECR"] = struct.unpack("!II", value)
        at += size
    return {**fields, "TCPOptions": ",".join(numbers)}
