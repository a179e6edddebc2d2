"""Find addresses, protocol and ports in a frame, behind VLAN tags and IPv6 extension headers."""

from __future__ import annotations

import zlib
from typing import NamedTuple

ETHERNET = 1
_TCP, _UDP = 6, 17
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _OPTIONS = 0, 43, 44, 51, 60
_MOBILITY, _HIP, _SHIM6 = 135, 139, 140
_EXTENSIONS = frozenset(
    {_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _OPTIONS, _MOBILITY, _HIP, _SHIM6}
)
_VLAN_TAGS = frozenset({b"\x81\x00", b"\x88\xa8", b"\x91\x00"})
_IP4_TYPE, _IP6_TYPE = b"\x08\x00", b"\x86\xdd"
_IP4_HEADER, _IP6_HEADER = 20, 40

# Offsets of the network header and of the EtherType (None: the IP version decides).
_LINKS: dict[int, tuple[int, int | None]] = {
    0: (4, None),  # BSD loopback
    1: (14, 12),  # Ethernet
    12: (0, None),  # raw IP on some systems
    101: (0, None),  # raw IP
    108: (4, None),  # OpenBSD loopback
    113: (16, 14),  # Linux cooked
    228: (0, None),  # raw IPv4
    229: (0, None),  # raw IPv6
    276: (20, 0),  # Linux cooked, version 2
}


class Headers(NamedTuple):
    """The fields that a filter can test. Ports are None if there are none."""

    source: bytes
    destination: bytes
    protocol: int
    source_port: int | None
    destination_port: int | None


def headers(frame: bytes, link_type: int = ETHERNET) -> Headers | None:
    """The outermost IP header's addresses, final protocol and ports; None without a complete IP header.

    VLAN tags (802.1Q, 802.1ad, 0x9100) and IPv6 extension headers are skipped. Only TCP and UDP have ports,
    and only the first fragment of a fragmented datagram.
    """
    link = _LINKS.get(link_type)
    if link is None:
        return None
    at, type_at = link
    if type_at is not None:
        kind = frame[type_at : type_at + 2]
        while kind in _VLAN_TAGS:
            kind = frame[at + 2 : at + 4]
            at += 4
        if kind == _IP4_TYPE:
            return _ip4(frame, at)
        return _ip6(frame, at) if kind == _IP6_TYPE else None
    version = frame[at] >> 4 if len(frame) > at else 0
    return _ip4(frame, at) if version == 4 else _ip6(frame, at)  # noqa: PLR2004 - IPv4


def flow_number(frame: bytes, link_type: int = ETHERNET) -> int:
    """A number that is the same for all packets of a conversation, in both directions and in every process.

    Fragments hash only addresses and protocol, as in routers; all non-IP packets have one number.
    """
    found = headers(frame, link_type)
    if found is None:
        return 0
    ports = (found.source_port, found.destination_port)
    ends = sorted(zip((found.source, found.destination), [port or 0 for port in ports], strict=True))
    return zlib.crc32(repr((ends, found.protocol)).encode())


def _ip4(frame: bytes, at: int) -> Headers | None:
    if len(frame) < at + _IP4_HEADER or frame[at] >> 4 != 4:  # noqa: PLR2004 - IPv4
        return None
    protocol = frame[at + 9]
    source, destination = frame[at + 12 : at + 16], frame[at + 16 : at + 20]
    later_fragment = frame[at + 7] or frame[at + 6] & 0x1F
    behind = None if later_fragment else at + (frame[at] & 0x0F) * 4
    return _with_ports(frame, source, destination, protocol, behind)


def _ip6(frame: bytes, at: int) -> Headers | None:
    if len(frame) < at + _IP6_HEADER or frame[at] >> 4 != 6:  # noqa: PLR2004 - IPv6
        return None
    source, destination = frame[at + 8 : at + 24], frame[at + 24 : at + 40]
    protocol = frame[at + 6]
    behind = at + _IP6_HEADER
    while protocol in _EXTENSIONS and len(frame) >= behind + 8:
        extension, protocol = protocol, frame[behind]
        if extension == _FRAGMENT:
            if int.from_bytes(frame[behind + 2 : behind + 4], "big") >> 3:
                return Headers(source, destination, protocol, None, None)
            behind += 8
        elif extension == _AUTHENTICATION:
            behind += (frame[behind + 1] + 2) * 4
        else:
            behind += (frame[behind + 1] + 1) * 8
    return _with_ports(frame, source, destination, protocol, behind)


def _with_ports(
    frame: bytes, source: bytes, destination: bytes, protocol: int, behind: int | None
) -> Headers:
    if behind is None or protocol not in (_TCP, _UDP) or len(frame) < behind + 4:
        return Headers(source, destination, protocol, None, None)
    return Headers(
        source,
        destination,
        protocol,
        frame[behind] << 8 | frame[behind + 1],
        frame[behind + 2] << 8 | frame[behind + 3],
    )
