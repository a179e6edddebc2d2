"""The outer headers of packets as columns: what a filter at the edge can look at.

The outermost IP header counts, since that is what a firewall sees. A summary is about the innermost ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgecap.packets.columns import HEADERS, LAYER, Batch, Interface, Rows
from edgecap.packets.headers import dissect

Mask = NDArray[np.bool_]
Column = NDArray[Any]

TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
V4, V6 = 4, 6
ETHER_TYPES: Final = {0x0800: V4, 0x86DD: V6}
PAYLOAD_BYTES = 4  # of a UDP payload that a filter can compare
_UDP_HEADER = 8
_HEADER_V6 = 40
_HEADER_V4 = 20
LATER = 2
_WINDOW_AT = 14  # in a TCP header
_WINDOW_ENDS = 16
# Bytes before the IP header, without VLAN tags; other link types are not dissected.
_LINK_HEADER: Final = {1: 14, 113: 16, 276: 20, 0: 4, 108: 4, 12: 0, 14: 0, 101: 0, 228: 0, 229: 0}


def _wide() -> np.dtype[np.void]:
    """`LAYER` with each address as two numbers of 64 bits, so that NumPy compares it at once."""
    assert LAYER.fields is not None
    formats = [
        np.dtype(("u8", (2,))) if name in ("source", "destination") else kind
        for name, (kind, _) in ((name, field[:2]) for name, field in LAYER.fields.items())
    ]
    offsets = [field[1] for field in LAYER.fields.values()]
    return np.dtype(
        {"names": list(LAYER.fields), "formats": formats, "offsets": offsets, "itemsize": LAYER.itemsize}
    )


_WIDE: Final = _wide()


def as_mask(compared: Any) -> Mask:
    """The result of a comparison, whose type NumPy does not tell."""
    mask: Mask = compared
    return mask


class PacketTable:
    """Packets of any number, with the columns that filters compare.

    A column is computed when it is first asked for. A packet that lacks a field has `False` in the field's
    `has_...` column, and no filter on that field matches it.

    Behind an IPv6 extension header nothing is compared, not even the protocol: firewalls differ in how far
    they look there.

    Args:
        headers: `HEADERS`, one row for each packet.
        times: nanoseconds since 1970, one for each packet.
        words: the first bytes of UDP payloads and whether they are there; TCP windows, likewise.

    Attributes:
        remembered: what was compared before; filters have tests in common.
    """

    def __init__(
        self, headers: Rows, times: NDArray[np.int64], words: tuple[Column, Mask, Column, Mask]
    ) -> None:
        self._headers = headers
        self.times = times
        self._words = words
        self.remembered: dict[Hashable, Mask] = {}

    def __len__(self) -> int:
        return len(self._headers)

    def __repr__(self) -> str:
        return f"<PacketTable [{len(self)} packets]>"

    @classmethod
    def of(cls, batch: Batch, interfaces: Sequence[Interface]) -> PacketTable:
        """The packets of a batch."""
        headers = dissect(batch, interfaces)
        return _BatchTable(batch, interfaces, headers)

    @classmethod
    def together(cls, tables: Sequence[PacketTable]) -> PacketTable:
        """The packets of several tables, in that order."""
        if not tables:
            nothing = np.zeros(0, bool)
            return cls(
                np.zeros(0, HEADERS),
                np.zeros(0, "i8"),
                (np.zeros(0, "u4"), nothing, np.zeros(0, "u2"), nothing),
            )
        words = [each.words for each in tables]
        return cls(
            np.concatenate([each._headers for each in tables]),  # noqa: SLF001 - of the same class
            np.concatenate([each.times for each in tables]),
            (
                np.concatenate([each[0] for each in words]),
                np.concatenate([each[1] for each in words]),
                np.concatenate([each[2] for each in words]),
                np.concatenate([each[3] for each in words]),
            ),
        )

    def take(self, which: Column) -> PacketTable:
        """The packets of a mask, or of row numbers."""
        payload, has_payload, window, has_window = self.words
        words = (payload[which], has_payload[which], window[which], has_window[which])
        return PacketTable(self._headers[which], self.times[which], words)

    @property
    def words(self) -> tuple[Column, Mask, Column, Mask]:
        """Fields that the headers do not have: UDP payloads, TCP windows, and which packets have them."""
        return self._words

    @cached_property
    def _outer(self) -> Rows:
        return self._headers["outer"].view(_WIDE)

    def _column(self, name: str) -> Column:
        return np.ascontiguousarray(self._outer[name])

    @cached_property
    def version(self) -> Column:
        """4 or 6; 0 if there is no whole IP header, or if it contradicts the frame's type."""
        version = self._column("version")
        ether_type = np.ascontiguousarray(self._headers["ether_type"])
        for number, means in ETHER_TYPES.items():
            version[(ether_type == number) & (version != means)] = 0
        return version

    @cached_property
    def has_protocol(self) -> Mask:
        """An IP header, of version 6 without extension headers."""
        return as_mask((self.version == V4) | ((self.version == V6) & (self._column("options") == 0)))

    @cached_property
    def protocol(self) -> Column:
        """The IP protocol number; 255 for none."""
        return np.where(self.has_protocol, self._column("protocol"), 255).astype("u1")

    @cached_property
    def source(self) -> Column:
        """Source addresses: two numbers of 64 bits, in network byte order. IPv4 is mapped."""
        return self._column("source")

    @cached_property
    def destination(self) -> Column:
        """Destination addresses, likewise."""
        return self._column("destination")

    @cached_property
    def has_ports(self) -> Mask:
        """TCP or UDP, and not a later fragment."""
        return as_mask((self._column("ports") == 1) & ((self.protocol == TCP) | (self.protocol == UDP)))

    @cached_property
    def source_port(self) -> Column:
        """Of TCP and UDP."""
        return self._column("source_port")

    @cached_property
    def destination_port(self) -> Column:
        """Of TCP and UDP."""
        return self._column("destination_port")

    @cached_property
    def has_ip(self) -> Mask:
        """An IP header."""
        return as_mask(self.version != 0)

    @cached_property
    def length(self) -> Column:
        """Bytes of the IP packet with its header, as the header says."""
        return self._column("length")

    @cached_property
    def ttl(self) -> Column:
        """Time to live, or hop limit."""
        return self._column("ttl")

    @cached_property
    def fragment(self) -> Column:
        """0 for a whole packet, 1 for a first fragment, 2 for a later one; of IPv4."""
        return np.where(self.version == V4, self._column("fragment"), 0).astype("u1")

    @cached_property
    def _whole_headers(self) -> Mask:
        return as_mask(np.ascontiguousarray(self._headers["cut"]) == 0)

    @cached_property
    def has_flags(self) -> Mask:
        """TCP, and its flags were captured."""
        return as_mask(self.has_ports & (self.protocol == TCP) & self._whole_headers)

    @cached_property
    def flags(self) -> Column:
        """TCP flags."""
        return self._column("tcp_flags")

    @cached_property
    def has_icmp(self) -> Mask:
        """ICMP or ICMPv6, its type was captured, and it is not a later fragment."""
        icmp = ((self.version == V4) & (self.protocol == ICMP)) | (
            (self.version == V6) & (self.protocol == ICMP6)
        )
        return as_mask(icmp & (self._column("fragment") != LATER) & self._whole_headers)

    @cached_property
    def icmp_type(self) -> Column:
        """Of ICMP and ICMPv6."""
        return self._column("icmp_type")

    @cached_property
    def icmp_code(self) -> Column:
        """Of ICMP and ICMPv6."""
        return self._column("icmp_code")

    @property
    def payload(self) -> Column:
        """The first four bytes of a UDP payload, as a number."""
        return self.words[0]

    @property
    def has_payload(self) -> Mask:
        """UDP, and those bytes are in it and were captured."""
        return self.words[1]

    @property
    def window(self) -> Column:
        """The TCP window."""
        return self.words[2]

    @property
    def has_window(self) -> Mask:
        """TCP, and its window was captured."""
        return self.words[3]


class _BatchTable(PacketTable):
    """The packets of a batch; what the headers do not have is read from its bytes when it is asked for."""

    def __init__(self, batch: Batch, interfaces: Sequence[Interface], headers: Rows) -> None:
        self._batch = batch
        self._interfaces = interfaces
        self._headers = headers
        self.times = np.ascontiguousarray(batch.rows["time"])
        self.remembered = {}

    @cached_property
    def words(self) -> tuple[Column, Mask, Column, Mask]:
        """Read from the bytes of the batch."""
        data = np.frombuffer(self._batch.data, "u1")
        ip, ends = self._starts()
        known = (ip >= 0) & (ip < ends)
        first = data[np.where(known, ip, 0)]
        known &= first >> 4 == self.version
        header = np.where(self.version == V4, (first & 15).astype("i8") * 4, _HEADER_V6)
        behind = ip + header
        udp = known & self.has_ports & (self.protocol == UDP)
        payload, has_payload = _read(
            data,
            behind + _UDP_HEADER,
            PAYLOAD_BYTES,
            # Padding behind a short packet is no payload.
            udp
            & (behind + _UDP_HEADER + PAYLOAD_BYTES <= ends)
            & (self.length >= header + _UDP_HEADER + PAYLOAD_BYTES),
        )
        tcp = known & self.has_ports & (self.protocol == TCP)
        window, has_window = _read(
            data, behind + _WINDOW_AT, _WINDOW_ENDS - _WINDOW_AT, tcp & (behind + _WINDOW_ENDS <= ends)
        )
        return payload, has_payload, window.astype("u2"), has_window

    def _starts(self) -> tuple[Column, Column]:
        """Where the IP header of each packet begins in the data (-1: nowhere), and where the packet ends."""
        links = [_LINK_HEADER.get(each.link_type, -1) for each in self._interfaces]
        start = np.ascontiguousarray(self._batch.rows["start"]).astype("i8")
        link = np.array(links, "i8")[self._batch.rows["interface"]]
        tags = np.zeros(len(start), "i8")
        for name in ("vlan", "inner_vlan"):
            tags += np.ascontiguousarray(self._headers[name]) != 0
        ip = np.where(link >= 0, start + link + 4 * tags, -1)
        return ip, start + self._batch.rows["captured"]


def _read(data: Column, at: Column, size: int, known: Mask) -> tuple[Column, Mask]:
    """The number of `size` bytes at each place that is `known`; 0 elsewhere."""
    places = np.where(known, at, 0)
    number = np.zeros(len(places), "u4")
    for byte in range(size):
        number = number << 8 | data[np.minimum(places + byte, len(data) - 1)]
    return np.where(known, number, 0).astype("u4"), known
