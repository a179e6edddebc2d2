"""Classic pcap: a header of 24 bytes, then records of 16 bytes and the packet.

Format: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html
"""

from __future__ import annotations

import struct
import sys

from edgecap.files.sniff import PCAP_MAGICS
from edgecap.packets.columns import Interface
from edgecap.packets.native import kernel
from edgecap.packets.record_parser import RecordParser, longest_packet

HEADER = 24
RECORD = 16
NATIVE = "<" if sys.byteorder == "little" else ">"
_LINK_TYPE_BITS = 0x03FF_FFFF  # the bits above hold the length of a frame check sequence
_MAJOR = 2


class PcapParser(RecordParser):
    """Parses a classic pcap in either byte order, with times in micro- or nanoseconds."""

    format = "pcap"

    def __init__(self, *, collect: bool = False) -> None:
        super().__init__(collect=collect)
        self.need = HEADER
        self._order = ""
        self._unit_ns = 1_000
        self._most = 0

    def _walk(self, data: bytes, start: int) -> int:
        if not self._order:
            if len(data) - start < HEADER:
                return start
            if not self._header(data, start):
                return start
            start += HEADER
        run = kernel.walk_pcap(
            data,
            start,
            self._rows,
            self._filled,
            self._order != NATIVE,
            self._unit_ns,
            self._most,
            *self._known_times(),
        )
        pos, why, value = run[:3]
        self._walked(run)
        if why == kernel.ABSURD:
            self._absurd(value)
        else:
            self.need = value
        return pos

    def _header(self, data: bytes, pos: int) -> bool:
        order, self._unit_ns = PCAP_MAGICS[bytes(data[pos : pos + 4])]
        major, minor, _, _, self.snaplen, network = struct.unpack_from(order + "HHiIII", data, pos + 4)
        if major != _MAJOR:
            self._bad(f"pcap version {major}.{minor} does not exist")
            return False
        link_type = network & _LINK_TYPE_BITS
        self.link_types.add(link_type)
        self.interfaces.append(Interface(link_type, self.snaplen))
        self._most = longest_packet(link_type)
        self._order = order
        return True
