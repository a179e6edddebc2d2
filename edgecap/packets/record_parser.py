"""Base of both parsers: step from record to record over chunks of a file, and count.

A parser never holds bytes. It gets a buffer and returns how far it got; if a record does not end in the
buffer, `need` is the number of bytes from the record's beginning that it needs to continue. Given exactly
`need` bytes, it uses all of them, or asks for more, or stops for good.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from edgecap.packets.columns import PACKET, Interface, Rows
from edgecap.packets.inspection import (
    ABSURD_LENGTH,
    BAD_STRUCTURE,
    CAPTURED_OVER_ORIGINAL,
    NO_TIME,
    NO_TIMES,
    TIME_BACKWARDS,
    TIME_OUT_OF_RANGE,
)

LONGEST_PACKET = 262_144  # the limit of libpcap and Wireshark, whatever the header's snap length
LONGEST_BLOCK = 16 << 20  # likewise, for a pcapng block; also the most bytes held of a file
_LONG_LINK_TYPES = frozenset(
    {231, 249, 266, 279}
)  # D-Bus, USBPcap, USB Darwin, EBHSCR: longer packets are normal
_SMALLEST_RECORD = 16  # in both formats, so that rows for a buffer can be made beforehand
EARLIEST_ROW, LATEST_ROW = -(1 << 63) + 1, (1 << 63) - 1  # the times that a row can hold
_NO_ROWS = np.empty(0, PACKET)
_BEFORE_ALL, _AFTER_ALL = -(1 << 63), (1 << 63) - 1


def longest_packet(link_type: int) -> int:
    """The maximum bytes of a record of this link type; more is damage, not a packet."""
    return LONGEST_BLOCK if link_type in _LONG_LINK_TYPES else LONGEST_PACKET


class RecordParser(ABC):
    """Counts records. `offset` is where good data ends so far.

    Args:
        collect: make a row for each packet; `rows()` returns those of the last walk.
    """

    format = ""
    in_blocks = False  # as in `Batch`

    def __init__(self, *, collect: bool = False) -> None:
        self.offset = 0
        self.need = 0
        self.packets = 0
        self.bytes_on_wire = 0
        self.bytes_captured = 0
        self.link_types: set[int] = set()
        self.interfaces: list[Interface] = []
        self.snaplen = 0
        self.flags: set[str] = set()
        self.stopped = ""
        self._earliest: int | None = None
        self._latest: int | None = None
        self._collect = collect
        self._rows: Rows | None = None
        self._filled = 0
        self._blocks: list[bytes] = []
        self.comments: tuple[bytes, ...] = ()  # on the whole file

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.packets} packets, {self.offset} bytes] {self.stopped or 'ok'}>"

    def walk(self, data: bytes, start: int) -> int:
        """Continue in `data` at `start`, the byte after the last one used; return the position reached."""
        if self._collect:
            self._rows = np.empty((len(data) - start) // _SMALLEST_RECORD + 1, PACKET)
            self._filled = 0
        pos = self._walk(data, start)
        self.offset += pos - start
        return pos

    @abstractmethod
    def _walk(self, data: bytes, start: int) -> int:
        """As `walk`, without its bookkeeping."""

    def rows(self) -> Rows:
        """The packets of the last walk, with positions in its data. Can be called once."""
        if self._rows is None:
            return _NO_ROWS
        whole, self._rows = self._rows, None
        filled = whole[: self._filled]
        # The array has room for the smallest packets; do not keep the unused part.
        return filled.copy() if 2 * len(filled) < len(whole) else filled

    def blocks(self) -> tuple[bytes, ...]:
        """What the last walks met beside packets, as in `Batch.blocks`. Empty without `collect`."""
        met, self._blocks = tuple(self._blocks), []
        return met

    def times(self) -> tuple[int, int] | None:
        """Earliest and latest packet time in nanoseconds since 1970, None if no packet has one."""
        if self._earliest is None or self._latest is None:
            return None
        return self._earliest, self._latest

    def _known_times(self) -> tuple[int, int]:
        """Earliest and latest so far, in the kernel's form."""
        if self._earliest is None or self._latest is None:
            return _AFTER_ALL, _BEFORE_ALL
        return within_row(self._earliest), within_row(self._latest)

    def _walked(self, run: tuple[int, ...]) -> None:
        """Add the kernel's counts."""
        _, _, _, count, wire, captured, untimed, earliest, latest, backwards, oversized, self._filled = run
        self.packets += count
        self.bytes_on_wire += wire
        self.bytes_captured += captured
        if untimed:
            self.flags.add(NO_TIMES)
        if backwards:
            self.flags.add(TIME_BACKWARDS)
        if oversized:
            self.flags.add(CAPTURED_OVER_ORIGINAL)
        if count > untimed:
            self._earliest = earliest if self._earliest is None else min(earliest, self._earliest)
            self._latest = latest if self._latest is None else max(latest, self._latest)

    def _clock(self, time: int) -> None:
        """Add the time of a packet that the kernel left to Python."""
        if not EARLIEST_ROW <= time <= LATEST_ROW:
            self.flags.add(TIME_OUT_OF_RANGE)
        if self._latest is None or self._earliest is None:
            self._earliest = self._latest = time
        elif time >= self._latest:
            self._latest = time
        else:
            self.flags.add(TIME_BACKWARDS)
            self._earliest = min(self._earliest, time)

    def _count(self, time: int | None, start: int, captured: int, original: int, interface: int) -> None:
        """Count a packet that the kernel left to Python; `time` is None if it has none."""
        self.packets += 1
        if captured > original:
            self.flags.add(CAPTURED_OVER_ORIGINAL)
            original = captured
        self.bytes_on_wire += original
        self.bytes_captured += captured
        if self._rows is not None:
            held = NO_TIME if time is None else within_row(time)
            self._rows[self._filled] = (held, start, captured, original, interface)
            self._filled += 1

    def _absurd(self, length: int) -> None:
        self.flags.add(ABSURD_LENGTH)
        self.stopped = f"the record after packet {self.packets} claims {length} bytes"

    def _bad(self, what: str) -> None:
        self.flags.add(BAD_STRUCTURE)
        self.stopped = what


def within_row(time: int) -> int:
    """`time`, limited to what a row can hold."""
    return min(max(time, EARLIEST_ROW), LATEST_ROW)
