"""Fast construction of Ethernet frames with correct headers and checksums.

The Internet checksum is a sum modulo 65535, so it can be composed of partial sums: a payload has its own
(`Payload`), and so has a pair of addresses (`Route`). One `struct` call then writes a whole frame.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
_FRAGMENT_HEADER = 44
_DONT_FRAGMENT, _MORE_FRAGMENTS = 0x4000, 0x2000
_ONES = 0xFFFF

_IP4 = struct.Struct("!14sBBHHHBBH4s4s")
_IP6 = struct.Struct("!14sIHBB16s16s")
_TCP4 = struct.Struct("!14sBBHHHBBH4s4sHHIIHHHH")
_TCP6 = struct.Struct("!14sIHBB16s16sHHIIHHHH")
_UDP = struct.Struct("!HHHH")
_UDP4 = struct.Struct("!14sBBHHHBBH4s4sHHHH")
_UDP6 = struct.Struct("!14sIHBB16s16sHHHH")
_ICMP = struct.Struct("!BBHHH")
_FRAGMENT = struct.Struct("!BBHI")


class Payload(NamedTuple):
    """Bytes with their partial Internet checksum."""

    data: bytes
    total: int

    @classmethod
    def of(cls, data: bytes) -> Payload:
        """`data` with its sum; keep it if it is sent often."""
        return cls(data, ones_sum(data))


def ones_sum(data: bytes) -> int:
    """The sum of the big-endian 16-bit words modulo 65535; an odd last byte is a word's high half."""
    number = int.from_bytes(data, "big")
    return (number << 8 if len(data) % 2 else number) % _ONES


NOTHING = Payload(b"", 0)


class Route:
    """The common part of a flow's packets: one address to another through one link.

    Args:
        source: 4 or 16 bytes.
        destination: the same length.
        macs: destination and source MAC, 12 bytes.
        hops: time to live or hop limit on arrival.
        flow_label: IPv6 only, 20 bits.
    """

    __slots__ = ("_ethernet", "_first", "base", "destination", "hops", "six", "source")

    def __init__(
        self, source: bytes, destination: bytes, *, macs: bytes, hops: int = 57, flow_label: int = 0
    ) -> None:
        self.source = source
        self.destination = destination
        self.six = len(source) != 4  # noqa: PLR2004 - an IPv4 address
        self.hops = hops
        self.base = ones_sum(source) + ones_sum(destination)
        self._ethernet = macs + (b"\x86\xdd" if self.six else b"\x08\x00")
        self._first = 0x60000000 | flow_label

    def tcp(
        self,
        source_port: int,
        destination_port: int,
        sequence: int,
        acknowledgement: int,
        flags: int,
        *,
        window: int = 64240,
        options: Payload = NOTHING,
        payload: Payload = NOTHING,
        ident: int = 0,
    ) -> bytes:
        """A TCP segment. `options` is a multiple of 4 bytes; `ident` is the IPv4 identification."""
        header = 20 + len(options.data)
        length = header + len(payload.data)
        word = header << 10 | flags
        total = self.base + TCP + length + source_port + destination_port + (sequence >> 16)
        total += (sequence & _ONES) + (acknowledgement >> 16) + (acknowledgement & _ONES) + word + window
        total += options.total + payload.total
        check = _ONES - (total % _ONES or _ONES)
        fields = (source_port, destination_port, sequence, acknowledgement, word, window, check, 0)
        if self.six:
            head = _TCP6.pack(
                self._ethernet, self._first, length, TCP, self.hops, self.source, self.destination, *fields
            )
        else:
            head = _TCP4.pack(*self._ip4(TCP, length, ident, _DONT_FRAGMENT), *fields)
        return head + options.data + payload.data

    def udp(
        self, source_port: int, destination_port: int, payload: Payload = NOTHING, *, ident: int = 0
    ) -> bytes:
        """A UDP datagram in one frame."""
        length = 8 + len(payload.data)
        check = self._udp_check(source_port, destination_port, length, payload)
        fields = (source_port, destination_port, length, check)
        if self.six:
            head = _UDP6.pack(
                self._ethernet, self._first, length, UDP, self.hops, self.source, self.destination, *fields
            )
        else:
            head = _UDP4.pack(*self._ip4(UDP, length, ident, _DONT_FRAGMENT), *fields)
        return head + payload.data

    def udp_fragments(
        self, source_port: int, destination_port: int, payload: Payload, *, ident: int, mtu: int = 1500
    ) -> list[bytes]:
        """A UDP datagram in as many frames as needed; only the first has the ports."""
        length = 8 + len(payload.data)
        check = self._udp_check(source_port, destination_port, length, payload)
        datagram = _UDP.pack(source_port, destination_port, length, check) + payload.data
        room = (mtu - (48 if self.six else 20)) // 8 * 8
        frames = []
        for offset in range(0, length, room):
            piece = datagram[offset : offset + room]
            more = offset + room < length
            if self.six:
                fragment = _FRAGMENT.pack(UDP, 0, offset | more, ident)
                head = self._ip6(_FRAGMENT_HEADER, 8 + len(piece)) + fragment
            else:
                flags = offset >> 3 | (_MORE_FRAGMENTS if more else 0)
                head = _IP4.pack(*self._ip4(UDP, len(piece), ident, flags))
            frames.append(head + piece)
        return frames

    def icmp(
        self, kind: int, code: int, first: int, second: int, payload: Payload = NOTHING, *, ident: int = 0
    ) -> bytes:
        """An ICMP or ICMPv6 message; for an echo, `first` is the identifier, `second` the sequence number."""
        length = 8 + len(payload.data)
        total = (kind << 8 | code) + first + second + payload.total
        if self.six:
            total += self.base + ICMPV6 + length
            head = self._ip6(ICMPV6, length)
        else:
            head = _IP4.pack(*self._ip4(ICMP, length, ident, 0))
        # The sum of only zeros is zero, and its complement all ones.
        check = _ONES - (total % _ONES or _ONES) if total else _ONES
        return head + _ICMP.pack(kind, code, check, first, second) + payload.data

    def _udp_check(self, source_port: int, destination_port: int, length: int, payload: Payload) -> int:
        # Zero means "no checksum" in UDP; this computation never gives it.
        return _ONES - (self.base + UDP + 2 * length + source_port + destination_port + payload.total) % _ONES

    def _ip4(
        self, protocol: int, length: int, ident: int, flags: int
    ) -> tuple[bytes, int, int, int, int, int, int, int, int, bytes, bytes]:
        length += 20
        total = self.base + 0x4500 + length + ident + flags + (self.hops << 8 | protocol)
        check = _ONES - (total % _ONES or _ONES)
        return (
            self._ethernet, 0x45, 0, length, ident, flags, self.hops, protocol, check,
            self.source, self.destination,
        )  # fmt: skip

    def _ip6(self, next_header: int, length: int) -> bytes:
        return _IP6.pack(
            self._ethernet, self._first, length, next_header, self.hops, self.source, self.destination
        )


@lru_cache(maxsize=4096)
def address(text: str) -> bytes:
    """An address as in a packet: 4 or 16 bytes."""
    return ip_address(text).packed
