"""Packets as columns: NumPy arrays with one row per packet, and one for its headers.

The layouts are those of `kernel.c`. All numbers are in native byte order, whatever the file's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgecap.packets.native import kernel

Rows = NDArray[np.void]

PACKET: Final = np.dtype(
    [
        ("time", "i8"),  # nanoseconds since 1970 UTC; `inspection.NO_TIME` if it has none
        ("start", "u4"),  # position of the packet's bytes in the batch's data
        ("captured", "u4"),  # captured bytes
        ("wire", "u4"),  # original length; never less than `captured`
        ("interface", "u4"),  # number of an `Interface` of the file
    ]
)
"""One packet's position and time."""

LAYER: Final = np.dtype(
    [
        ("source", "u1", (16,)),  # an IPv4 address is mapped: ::ffff:203.0.113.7
        ("destination", "u1", (16,)),
        ("source_port", "u2"),
        ("destination_port", "u2"),
        ("length", "u2"),  # header and payload, from the IP header
        ("version", "u1"),  # 4, 6, or 0 if there is no such layer
        ("protocol", "u1"),  # behind IPv6 extension headers
        ("ttl", "u1"),
        ("tos", "u1"),
        ("fragment", "u1"),  # 0 not one, 1 the first, 2 a later one
        ("ports", "u1"),  # 1 if the ports could be read: TCP, UDP, SCTP, DCCP, UDP-Lite
        ("tcp_flags", "u1"),
        ("icmp_type", "u1"),
        ("icmp_code", "u1"),
        ("options", "u1"),  # 1 with IPv4 options or IPv6 extension headers
        ("payload", "u2"),  # bytes behind the header of TCP or UDP, from the IP header
        ("tcp_words", "u1"),  # length of the TCP header, in words of four bytes
        ("unused", "u1"),
    ]
)
"""One IP header and the first words of what it carries."""

HEADERS: Final = np.dtype(
    [
        ("outer", LAYER),
        ("inner", LAYER),  # of the innermost tunnel
        ("spi", "u4"),  # ESP's security parameter index, 0 for none
        ("body", "u4"),  # where the innermost TCP or UDP payload begins in the frame; 0: none was captured
        ("inside", "u4"),  # position of the innermost IP header in the packet
        ("ether_type", "u2"),  # behind VLAN tags; `LLC` and `PPP` too; 0 for link types without one
        ("vlan", "u2"),  # of the outer tag, plus `TAGGED`
        ("inner_vlan", "u2"),  # of the second tag, likewise
        ("tunnel", "u1"),  # of the outermost tunnel: an IP protocol, or one of `TUNNELS`; 0 for none
        ("cut", "u1"),  # 1 if a header exceeds the captured bytes
        ("unknown", "u4"),  # 1 if the link type is not one that is parsed
    ]
)
"""The headers of one packet, as far as they were captured; zeros for missing ones."""

TAGGED = 0x1000  # since VLAN 0 exists
LLC, PPP = 0x0004, 0x880B  # EtherTypes of what has none: IEEE 802.2 in a frame with a length, and PPP

TUNNELS: Final = {
    240: "vxlan",
    241: "geneve",
    242: "gtp-u",
    243: "teredo",
    244: "mpls",
    245: "pppoe",
    246: "l2tp",
    247: "gre in udp",
    248: "802.1ah",
    249: "nsh",
}
"""Tunnels that no IP protocol stands for, by numbers that IANA has not assigned to one; as in `packets.h`."""

INTERFACE: Final = np.dtype(
    [
        ("numerator", "u8"),
        ("denominator", "u8"),
        ("offset", "i8"),
        ("snaplen", "u4"),
        ("longest", "u4"),
        ("number", "u4"),
        ("unused", "u4"),
    ]
)
"""How the kernel reads the packets of one pcapng interface."""

MOST_WEIGHT = 0xFFFF_FFFF
_COMMENT = 1  # the code of the option
_SAMPLED = b"sampled, 1 in "
_LONGEST_WEIGHT = 10  # digits

_BUILT = (kernel.ROW_SIZE, kernel.HEADERS_SIZE, kernel.INTERFACE_SIZE)
if (PACKET.itemsize, HEADERS.itemsize, INTERFACE.itemsize) != _BUILT:
    raise ImportError("edgecap.packets.native.kernel was built from another version; run `make setup`")


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface of a file. A classic pcap has one.

    Attributes:
        link_type: the `LINKTYPE_` number; 1 is Ethernet.
        snaplen: maximum captured bytes per packet; 0: no limit.
        name: from the file, such as `eth0`; empty if it has none.
        big_endian: the byte order of the file, in which BSD loopback has its address family.
        options: pcapng options as codes and values that tell more: comments, its filter, its hardware.
    """

    link_type: int
    snaplen: int
    name: str = ""
    big_endian: bool = False
    options: tuple[tuple[int, bytes], ...] = ()

    @property
    def weight(self) -> int:
        """How many packets each one stands for: N if 1 in N was kept and its comment says so; else 1."""
        return _weight(self.options) if self.options else 1


def weight_comment(weight: int) -> tuple[int, bytes]:
    """The option of an interface that says how many packets each of its packets stands for."""
    return _COMMENT, b"%s%d" % (_SAMPLED, weight)


@lru_cache(maxsize=1 << 16)
def _weight(options: tuple[tuple[int, bytes], ...]) -> int:
    for code, value in options:
        digits = value.removeprefix(_SAMPLED)
        if (
            code == _COMMENT
            and len(digits) < len(value)
            and digits.isdigit()
            and len(digits) <= _LONGEST_WEIGHT
        ):
            return min(max(int(digits), 1), MOST_WEIGHT)
    return 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive packets of a file.

    Attributes:
        data: the bytes that `rows` point into.
        rows: `PACKET`, in the file's order; none if there are only `blocks`.
        offset: position of `data` in the unpacked file.
        in_blocks: each packet stands in a pcapng block, and its options follow it.
        blocks: pcapng blocks that came before or between these packets and are for all of the file: names,
            secrets to decrypt packets, journal entries, custom ones. In this machine's byte order.
    """

    data: bytes
    rows: Rows
    offset: int
    in_blocks: bool = False
    blocks: tuple[bytes, ...] = ()

    def packet(self, number: int) -> bytes:
        """The captured bytes of packet `number` of this batch."""
        row: Any = self.rows[number]
        start = int(row["start"])
        return self.data[start : start + int(row["captured"])]
