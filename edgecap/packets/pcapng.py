"""pcapng: sections of blocks, each with its length before and after it.

Format: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from edgecap.packets.columns import INTERFACE, Interface
from edgecap.packets.inspection import NO_TIMES
from edgecap.packets.native import kernel
from edgecap.packets.pcap import NATIVE
from edgecap.packets.pcapng_blocks import CARRIED, native_block
from edgecap.packets.record_parser import LONGEST_BLOCK, RecordParser, longest_packet

SECTION = 0x0A0D0D0A
INTERFACE_BLOCK = 1
OLD_PACKET = 2  # obsolete, but still found in files
SIMPLE_PACKET = 3
PACKET = 6

_SMALLEST = 12  # type, length, length again
_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_PACKET_FRAME = 32  # bytes of a packet block other than the packet and its options
_PACKET_BEGIN = 28  # position of the packet in its block, obsolete or not
_SIMPLE_FRAME = 16
_SIMPLE_BEGIN = 12
_INTERFACE_FRAME = 20
_SECTION_FRAME = 28
_SECTION_BEGIN, _INTERFACE_BEGIN = 24, 16  # positions of their options
_MOST_INTERFACES = 65_536  # so that a file of interfaces cannot fill the memory
_LONGEST_NAME = 256
_END, _COMMENT, _NAME, _TSRESOL, _TSOFFSET = 0, 1, 2, 9, 14
# Options of an interface whose value has no byte order: description, addresses, filter, system, hardware.
_KEPT = frozenset({_COMMENT, 3, 4, 5, 6, 7, 11, 12, 15})
_MOST_KEPT = 64  # options of an interface
_Unpack = Callable[[bytes, int], tuple[int, ...]]
_TWO = 0x80  # the bit of if_tsresol that makes it a power of two


class _Interface(NamedTuple):
    number: int  # in the whole file; a packet's number is relative to its section
    snaplen: int
    longest: int
    numerator: int  # time in nanoseconds = stamp * numerator // denominator + offset
    denominator: int
    offset: int

    def row(self) -> tuple[int, int, int, int, int, int, int]:
        """The kernel's form; a numerator of 0 leaves the packets to Python's unlimited integers."""
        plain = self.denominator < 1 << 63 and abs(self.offset) < 1 << 62
        scale = (self.numerator, self.denominator, self.offset) if plain else (0, 1, 0)
        return *scale, self.snaplen, self.longest, self.number, 0


class PcapngParser(RecordParser):
    """Parses a pcapng of any number of sections, each in its own byte order."""

    format = "pcapng"
    in_blocks = True

    def __init__(self, *, collect: bool = False) -> None:
        super().__init__(collect=collect)
        self.need = _SMALLEST
        self._order = ""
        self._section: list[_Interface] = []
        self._sections = 0
        self._comments: tuple[tuple[int, bytes], ...] = ()  # of a section other than the first
        self._table = np.zeros(1, INTERFACE)  # the section for the kernel; grows
        self._numbers: dict[Interface, int] = {}

    def _walk(self, data: bytes, start: int) -> int:
        pos = start
        end = len(data)
        head, tail = self._structs()
        while True:
            if self._section:
                pos = self._run(data, pos)
            if end - pos < _SMALLEST:
                self.need = _SMALLEST
                break
            kind, length = head(data, pos)
            if kind == SECTION:
                if not self._byte_order(bytes(data[pos + 8 : pos + 12])):
                    break
                head, tail = self._structs()
                length = head(data, pos)[1]
            if not _SMALLEST <= length <= LONGEST_BLOCK or length & 3:
                self._implausible(length)
                break
            following = pos + length
            if following > end:
                self.need = length
                break
            if tail(data, following - 4)[0] != length:
                self._bad(f"a block of {length} bytes has another length at its end")
                break
            if not self._block(kind, data[pos:following], pos):
                break
            pos = following
        return pos

    def _run(self, data: bytes, pos: int) -> int:
        """Let the kernel parse plain packets, up to the first other block."""
        run = kernel.walk_pcapng(
            data,
            pos,
            self._rows,
            self._filled,
            self._order != NATIVE,
            self._table[: len(self._section)],
            *self._known_times(),
        )
        self._walked(run)
        return run[0]

    def _structs(self) -> tuple[_Unpack, _Unpack]:
        # Before a section header, the order is unknown; a block's type reads the same in both.
        order = self._order or "<"
        return struct.Struct(order + "II").unpack_from, struct.Struct(order + "I").unpack_from

    def _byte_order(self, mark: bytes) -> bool:
        if mark not in _ORDERS:
            self._bad("a section header has no byte-order mark")
            return False
        self._order = _ORDERS[mark]
        return True

    def _implausible(self, length: int) -> None:
        if length > LONGEST_BLOCK:
            self._absurd(length)
        else:
            self._bad(f"no block can be {length} bytes long")

    def _block(self, kind: int, block: bytes, at: int) -> bool:
        """Parse any complete block at position `at`; False if it is damaged."""
        if kind == SECTION:
            return self._begin_section(block)
        if kind == INTERFACE_BLOCK:
            return self._interface(block)
        if kind == SIMPLE_PACKET:
            return self._simple_packet(block, at)
        if kind in (PACKET, OLD_PACKET):
            return self._packet(kind, block, at)
        if self._collect and kind in CARRIED:
            self._blocks.append(native_block(kind, block, swapped=self._order != NATIVE))
        return True  # statistics and unknown blocks: not packets

    def _packet(self, kind: int, block: bytes, at: int) -> bool:
        if len(block) < _PACKET_FRAME:
            self._bad(f"a packet block of {len(block)} bytes is too short to be one")
            return False
        high, low, captured, original = struct.unpack_from(self._order + "IIII", block, 12)
        (number,) = struct.unpack_from(self._order + ("I" if kind == PACKET else "H"), block, 8)
        if number >= len(self._section):
            self._bad(f"a packet names interface {number}, which was not described before")
            return False
        number, _, longest, numerator, denominator, offset = self._section[number]
        if captured > longest:
            self._absurd(captured)
            return False
        if captured > len(block) - _PACKET_FRAME:
            self._bad(f"a packet of {captured} bytes does not fit into its block of {len(block)}")
            return False
        time = (high << 32 | low) * numerator // denominator + offset
        self._clock(time)
        self._count(time, at + _PACKET_BEGIN, captured, original, number)
        return True

    def _begin_section(self, block: bytes) -> bool:
        if len(block) < _SECTION_FRAME:
            self._bad(f"a section header of {len(block)} bytes is too short to be one")
            return False
        major, minor = struct.unpack_from(self._order + "HH", block, 12)
        if major != 1:
            self._bad(f"pcapng version {major}.{minor} does not exist")
            return False
        self._section.clear()
        comments = [each for each in self._each_option(block, _SECTION_BEGIN) if each[0] == _COMMENT]
        if self._sections:
            self._comments = tuple(comments[:_MOST_KEPT])
        else:
            self.comments = tuple(value for _, value in comments[:_MOST_KEPT])
        self._sections += 1
        return True

    def _interface(self, block: bytes) -> bool:
        if len(block) < _INTERFACE_FRAME:
            self._bad(f"an interface description of {len(block)} bytes is too short to be one")
            return False
        if len(self._section) >= _MOST_INTERFACES:
            self._bad(f"one section describes more than {_MOST_INTERFACES} interfaces")
            return False
        link_type, _, snaplen = struct.unpack_from(self._order + "HHI", block, 8)
        resolution, offset, name, options = self._options(block)
        # Sections that repeat an interface share its number.
        described = Interface(link_type, snaplen, name, self._order == ">", (*options, *self._comments))
        number = self._numbers.setdefault(described, len(self.interfaces))
        if number == _MOST_INTERFACES:
            self._bad(f"the file describes more than {_MOST_INTERFACES} different interfaces")
            return False
        if number == len(self.interfaces):
            self.interfaces.append(described)
        self.link_types.add(link_type)
        self.snaplen = max(self.snaplen, snaplen)
        self._describe(
            _Interface(
                number, snaplen, longest_packet(link_type), *_scale(resolution), offset * 1_000_000_000
            )
        )
        return True

    def _describe(self, interface: _Interface) -> None:
        if len(self._section) == len(self._table):
            self._table = np.concatenate([self._table, np.zeros_like(self._table)])
        self._table[len(self._section)] = interface.row()
        self._section.append(interface)

    def _options(self, block: bytes) -> tuple[int, int, str, list[tuple[int, bytes]]]:
        """The interface's if_tsresol (microseconds unless given), if_tsoffset (seconds), if_name, others."""
        resolution, offset, name = 6, 0, ""
        others: list[tuple[int, bytes]] = []
        for code, value in self._each_option(block, _INTERFACE_BEGIN):
            if code == _NAME:
                name = value[:_LONGEST_NAME].decode(errors="replace").rstrip("\0")
            elif code == _TSRESOL and len(value) == 1:
                resolution = value[0]
            elif code == _TSOFFSET and len(value) == 8:  # noqa: PLR2004 - a 64-bit number
                (offset,) = struct.unpack(self._order + "q", value)
            elif code in _KEPT and len(others) < _MOST_KEPT:
                others.append((code, value))
        return resolution, offset, name, others

    def _each_option(self, block: bytes, pos: int) -> Iterator[tuple[int, bytes]]:
        end = len(block) - 4
        while pos + 4 <= end:
            code, size = struct.unpack_from(self._order + "HH", block, pos)
            pos += 4
            if code == _END or pos + size > end:
                break
            yield code, bytes(block[pos : pos + size])
            pos += size + (-size & 3)

    def _simple_packet(self, block: bytes, at: int) -> bool:
        if not self._section:
            self._bad("a simple packet comes before any interface description")
            return False
        if len(block) < _SIMPLE_FRAME:
            self._bad(f"a simple packet block of {len(block)} bytes is too short to be one")
            return False
        (original,) = struct.unpack_from(self._order + "I", block, 8)
        interface = self._section[0]
        captured = min(original, interface.snaplen or original)
        if captured > interface.longest:
            self._absurd(captured)
            return False
        if captured > len(block) - _SIMPLE_FRAME:
            self._bad(f"a packet of {captured} bytes does not fit into its block of {len(block)}")
            return False
        self.flags.add(NO_TIMES)
        self._count(None, at + _SIMPLE_BEGIN, captured, original, interface.number)
        return True


def _scale(resolution: int) -> tuple[int, int]:
    """if_tsresol as a fraction that converts a time stamp to nanoseconds."""
    if resolution & _TWO:
        return 1_000_000_000, 1 << (resolution & ~_TWO)
    if resolution <= 9:  # noqa: PLR2004 - the power of ten of nanoseconds
        return 10 ** (9 - resolution), 1
    return 1, 10 ** (resolution - 9)
