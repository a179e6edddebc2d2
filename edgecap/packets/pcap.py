"""Classic pcap: a header of 24 bytes, then records of 16 bytes and the packet.

Format: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html. Older forms are read as libpcap reads
them: Kuznetzov's modified one, with records of 24 bytes, and the versions before 2.4, with swapped lengths.
"""

from __future__ import annotations

import struct
import sys

from edgecap.files.sniff import MODIFIED_PCAP, PCAP_MAGICS
from edgecap.packets.columns import Interface
from edgecap.packets.inspection import FRACTION_OVER_SECOND
from edgecap.packets.native import kernel
from edgecap.packets.record_parser import RecordParser, longest_packet

HEADER = 24
NATIVE = "<" if sys.byteorder == "little" else ">"
_RECORD, _MODIFIED_RECORD = 16, 24
_LINK_TYPE_BITS = 0x03FF_FFFF  # the bits above hold the length of a frame check sequence
# The order of a record's two lengths, by version; 543.0 is DG/UX's.
_LENGTHS = {
    (2, 0): kernel.SWAPPED,
    (2, 1): kernel.SWAPPED,
    (2, 2): kernel.SWAPPED,
    (2, 3): kernel.MAYBE_SWAPPED,
    (543, 0): kernel.SWAPPED,
}
_MAJOR = 2
_MICROSECOND = 1_000
_NO_LIMIT = 0xFFFF_FFFF


class PcapParser(RecordParser):
    """Parses a classic pcap in either byte order, with times in micro- or nanoseconds."""

    format = "pcap"

    def __init__(self, *, collect: bool = False) -> None:
        super().__init__(collect=collect)
        self.need = HEADER
        self._order = ""
        self._unit_ns = _MICROSECOND
        self._largest = 0  # fraction of a second
        self._longest = 0
        self._record = _RECORD
        self._lengths = kernel.IN_ORDER

    def _walk(self, data: bytes, start: int) -> int:
        if not self._order:
            if len(data) - start < HEADER:
                return start
            if not self._header(data, start):
                return start
            start += HEADER
        while True:
            run = kernel.walk_pcap(
                data,
                start,
                self._rows,
                self._filled,
                self._order != NATIVE,
                (self._unit_ns, self._largest, self._longest, self._record, self._lengths),
                *self._known_times(),
            )
            start, why, value = run[:3]
            self._walked(run)
            if why != kernel.FRACTION:
                break
            self._over_second(value)
        if why == kernel.ABSURD:
            self._absurd(value)
        else:
            self.need = value
        return start

    def _header(self, data: bytes, pos: int) -> bool:
        magic = bytes(data[pos : pos + 4])
        order, self._unit_ns = PCAP_MAGICS[magic]
        major, minor, _, _, self.snaplen, network = struct.unpack_from(order + "HHiIII", data, pos + 4)
        if major != _MAJOR and (major, minor) not in _LENGTHS:
            self._bad(f"pcap version {major}.{minor} does not exist")
            return False
        self._lengths = _LENGTHS.get((major, minor), kernel.IN_ORDER)
        if magic in MODIFIED_PCAP:
            self._record = _MODIFIED_RECORD
        link_type = network & _LINK_TYPE_BITS
        self.link_types.add(link_type)
        self.interfaces.append(Interface(link_type, self.snaplen, big_endian=order == ">"))
        self._longest = longest_packet(link_type)
        self._largest = 1_000_000_000 // self._unit_ns - 1
        self._order = order
        return True

    def _over_second(self, fraction: int) -> None:
        """A fraction is a second or more: mostly, the file has nanoseconds behind the magic of microseconds.

        One below two seconds may also be a second that was not carried. That is read as it stands.
        """
        self.flags.add(FRACTION_OVER_SECOND)
        if self._unit_ns == _MICROSECOND and fraction >= 2_000_000:  # noqa: PLR2004 - two seconds
            self._unit_ns, self._largest = 1, _NO_LIMIT
        else:
            self._largest = 1_999_999 if self._unit_ns == _MICROSECOND else _NO_LIMIT
