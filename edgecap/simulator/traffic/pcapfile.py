"""Write classic pcap files, packet by packet."""

from __future__ import annotations

import struct
from typing import BinaryIO

from edgecap.simulator.traffic.base import Packet

_MAGIC_MICRO, _MAGIC_NANO = 0xA1B2C3D4, 0xA1B23C4D
_HEADER = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")
_SECOND = 1_000_000_000


class PcapWriter:
    """A classic pcap file that grows with each packet. The header is written at once; nothing is buffered.

    Args:
        fileobj: the file; it stays open.
        link_type: the `LINKTYPE_` number of the frames; 1 is Ethernet.
        snaplen: maximum bytes per packet. Longer packets are cut, and their record has the original length.
        nanosecond: keep nanoseconds; otherwise time stamps are cut to microseconds.
    """

    def __init__(
        self, fileobj: BinaryIO, link_type: int, snaplen: int = 262_144, *, nanosecond: bool = False
    ) -> None:
        self._file = fileobj
        self._snaplen = snaplen
        self._unit = 1 if nanosecond else 1000
        self.packets = 0
        magic = _MAGIC_NANO if nanosecond else _MAGIC_MICRO
        self.bytes_written = fileobj.write(_HEADER.pack(magic, 2, 4, 0, 0, snaplen, link_type))

    def __repr__(self) -> str:
        return f"<PcapWriter [{self.packets} packets, {self.bytes_written} bytes]>"

    def write(self, packet: Packet) -> None:
        """Append one packet."""
        seconds, rest = divmod(packet.time_ns, _SECOND)
        kept = packet.data[: self._snaplen]
        head = _RECORD.pack(seconds, rest // self._unit, len(kept), len(packet.data))
        self._file.write(head + kept)
        self.packets += 1
        self.bytes_written += len(head) + len(kept)
