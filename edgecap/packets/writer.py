"""Write a pcapng that is whole or absent, with nanoseconds and one interface block per origin.

Format: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecap import __version__
from edgecap.files.durable import begin_write_back, new_file
from edgecap.packets.columns import Rows
from edgecap.packets.native import kernel
from edgecap.packets.pcapng import INTERFACE_BLOCK, SECTION

_BUFFER = 1 << 20  # bytes of blocks per write
_WRITE_BACK = 16 << 20  # bytes after which the disk starts writing, so that the last sync is short
_BYTE_ORDER_MARK = 0x1A2B3C4D
_END, _NAME, _DESCRIPTION, _TSRESOL = 0, 2, 3, 9
_APPLICATION = 4
_NANOSECONDS = 9
_LONGEST_TEXT = 1_024


class PacketWriter:
    """Appends packets to a pcapng. Use `new_pcapng` to get one.

    Attributes:
        packets: how many were written.
        size: bytes of the file so far.
    """

    def __init__(self, descriptor: int) -> None:
        self.packets = 0
        self.size = 0
        self._descriptor = descriptor
        self._out = bytearray(_BUFFER)
        self._synced = 0
        self._interfaces = 0
        head = struct.pack("=IHHq", _BYTE_ORDER_MARK, 1, 0, -1)
        self._append(_block(SECTION, head + _options((_APPLICATION, f"edgecap {__version__}".encode()))))

    def __repr__(self) -> str:
        return f"<PacketWriter [{self.packets} packets, {self.size} bytes]>"

    def interface(self, link_type: int, snaplen: int, name: str, description: str = "") -> int:
        """Describe an interface; returns its number for the rows' `interface`."""
        text = [(_NAME, name), (_DESCRIPTION, description)]
        options = [(code, value.encode()[:_LONGEST_TEXT]) for code, value in text if value]
        head = struct.pack("=HHI", link_type, 0, snaplen)
        self._append(_block(INTERFACE_BLOCK, head + _options(*options, (_TSRESOL, bytes([_NANOSECONDS])))))
        self._interfaces += 1
        return self._interfaces - 1

    def merge(self, sources: list[tuple[bytes, Rows]], taken: NDArray[np.uint32]) -> int:
        """Append packets by time until a source has no more.

        Equal times keep the order of the sources; within a source, packets always keep their order.

        Args:
            sources: data and rows of each.
            taken: number of rows of each already appended; updated.

        Returns:
            The index of the exhausted source.
        """
        before = int(taken.sum())
        while True:
            filled, starved, needed = kernel.merge(sources, taken, self._out)
            self._append(memoryview(self._out)[:filled])
            if starved >= 0:
                self.packets += int(taken.sum()) - before
                return starved
            if needed > len(self._out):
                self._out = bytearray(needed)

    def append(self, data: bytes, rows: Rows) -> None:
        """Append packets in the order of their rows."""
        if len(rows):
            self.merge([(data, rows)], np.zeros(1, np.uint32))

    def _append(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            written = os.write(self._descriptor, view)
            self.size += written
            view = view[written:]
        if self.size - self._synced >= _WRITE_BACK:
            begin_write_back(self._descriptor, self._synced, self.size - self._synced)
            self._synced = self.size


@contextmanager
def new_pcapng(target: Path) -> Iterator[PacketWriter]:
    """A writer of a file that gets the name `target`, durably, if the block succeeds.

    Raises:
        StoreError: as `new_file`.
    """
    with new_file(target) as descriptor:
        yield PacketWriter(descriptor)


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack("=II", kind, length) + body + struct.pack("=I", length)


def _options(*options: tuple[int, bytes]) -> bytes:
    return b"".join(
        struct.pack("=HH", code, len(value)) + value + bytes(-len(value) % 4)
        for code, value in (*options, (_END, b""))
    )
