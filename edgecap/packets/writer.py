"""Write a pcapng or a pcap that is whole or absent, with nanoseconds.

A pcapng has an interface block per origin. Formats: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html
and draft-ietf-opsawg-pcap-05.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecap import __version__
from edgecap.errors import Damaged
from edgecap.files.durable import begin_write_back, new_file
from edgecap.packets.columns import Batch, Interface, Rows
from edgecap.packets.native import kernel
from edgecap.packets.pcapng import INTERFACE_BLOCK, SECTION

_BUFFER = 1 << 20  # bytes of blocks per write
_WRITE_BACK = 16 << 20  # bytes after which the disk starts writing, so that the last sync is short
_BYTE_ORDER_MARK = 0x1A2B3C4D
_END, _COMMENT, _NAME, _DESCRIPTION, _TSRESOL = 0, 1, 2, 3, 9
_APPLICATION = 4
_NANOSECONDS = 9
_LONGEST_TEXT = 1_024
_LARGEST_LINK_TYPE = 0xFFFF
_PCAP_MAGIC = 0xA1B23C4D  # with nanoseconds
_SNAPLEN = 262_144  # of a pcap whose sources have no limit

Source = tuple[bytes, Rows, bool]
"""Data, rows, and whether each packet stands in a pcapng block, as in `Batch`."""


class Form(StrEnum):
    """The format of a file that is written."""

    PCAPNG = "pcapng"
    PCAP = "pcap"


class PacketWriter:
    """Appends packets to a file, after `begin`. Use `new_packet_file` to get one.

    Attributes:
        packets: how many were written.
        size: bytes of the file so far.
        latest: the time of the last packet, in nanoseconds since 1970; one without a time gets it.
        clamped: packets whose time the format cannot hold; they got the nearest that it can.
    """

    def __init__(self, descriptor: int, form: Form = Form.PCAPNG) -> None:
        self.packets = 0
        self.size = 0
        self.latest = 0
        self.clamped = 0
        self._descriptor = descriptor
        self._form = form
        self._format = kernel.PCAPNG if form == Form.PCAPNG else kernel.PCAP
        self._out = bytearray(_BUFFER)
        self._synced = 0
        self._interfaces = 0
        self._link_type = 0  # of a pcap
        self._snaplen: int | None = None  # likewise

    def __repr__(self) -> str:
        return f"<PacketWriter [{self.packets} packets, {self.size} bytes]>"

    def begin(self, comments: Iterable[bytes] = ()) -> None:
        """Write the file's header; the rest follows it.

        Args:
            comments: on the whole file, UTF-8. A pcap has no place for them.
        """
        if self._form == Form.PCAPNG:
            head = struct.pack("=IHHq", _BYTE_ORDER_MARK, 1, 0, -1)
            options = [(_COMMENT, comment) for comment in comments]
            options.append((_APPLICATION, f"edgecap {__version__}".encode()))
            self._append(_block(SECTION, head + _options(*options)))
        else:
            self._append(self._pcap_header())

    def interface(self, interface: Interface, name: str, note: str = "") -> int:
        """Describe an interface; returns its number for the rows' `interface`.

        Args:
            interface: as a file described it. Its own name becomes the description; its options are kept.
            name: the new name.
            note: what the description begins with; may be empty.

        Raises:
            Damaged: the format cannot hold its link type.
        """
        link_type = interface.link_type
        if link_type > _LARGEST_LINK_TYPE:
            raise Damaged(f"its link type {link_type} does not exist: it exceeds 16 bits", where=name)
        if self._form == Form.PCAPNG:
            self._describe(interface, name, note)
        else:
            self._check_link_type(link_type, name)
            snaplen = interface.snaplen or _SNAPLEN
            self._snaplen = snaplen if self._snaplen is None else max(snaplen, self._snaplen)
        self._interfaces += 1
        return self._interfaces - 1

    def block(self, data: bytes) -> None:
        """Append a pcapng block about the whole file, in native byte order. A pcap has no place for it."""
        if self._form == Form.PCAPNG:
            self._append(data)

    def merge(self, sources: list[Source], taken: NDArray[np.uint32]) -> int:
        """Append packets by time until a source has no more.

        Equal times keep the order of the sources; within a source, packets always keep their order.

        Args:
            sources: of each, what comes next.
            taken: number of rows of each already appended; updated.

        Returns:
            The index of the exhausted source.
        """
        before = int(taken.sum())
        while True:
            filled, starved, needed, self.latest, clamped = kernel.merge(
                sources, taken, self._out, self._format, self.latest
            )
            self.clamped += clamped
            self._append(memoryview(self._out)[:filled])
            if starved >= 0:
                self.packets += int(taken.sum()) - before
                return starved
            if needed > len(self._out):
                self._out = bytearray(needed)

    def append(self, batch: Batch) -> None:
        """Append a batch in the order of its rows."""
        for block in batch.blocks:
            self.block(block)
        if len(batch.rows):
            self.merge([(batch.data, batch.rows, batch.in_blocks)], np.zeros(1, np.uint32))

    def finish(self) -> None:
        """Complete the file's header."""
        if self._form == Form.PCAP:
            os.pwrite(self._descriptor, self._pcap_header(), 0)

    def _describe(self, interface: Interface, name: str, note: str) -> None:
        own = [value.decode(errors="replace") for code, value in interface.options if code == _DESCRIPTION]
        text = [(_NAME, name), (_DESCRIPTION, ": ".join(filter(None, (note, interface.name, *own))))]
        options = [(code, _shortened(value)) for code, value in text if value]
        options += [each for each in interface.options if each[0] != _DESCRIPTION]
        head = struct.pack("=HHI", interface.link_type, 0, interface.snaplen)
        self._append(_block(INTERFACE_BLOCK, head + _options(*options, (_TSRESOL, bytes([_NANOSECONDS])))))

    def _check_link_type(self, link_type: int, name: str) -> None:
        if not self._interfaces:
            self._link_type = link_type
        elif link_type != self._link_type:
            raise Damaged(
                f"its link type is {link_type}, the first file's {self._link_type}, and a pcap has only one",
                where=name,
                hint="write a pcapng, which takes all",
            )

    def _pcap_header(self) -> bytes:
        return struct.pack("=IHHiIII", _PCAP_MAGIC, 2, 4, 0, 0, self._snaplen or _SNAPLEN, self._link_type)

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
def new_packet_file(target: Path, form: Form = Form.PCAPNG) -> Iterator[PacketWriter]:
    """A writer of a file that gets the name `target`, durably, if the block succeeds.

    Raises:
        StoreError: as `new_file`.
    """
    with new_file(target) as descriptor:
        writer = PacketWriter(descriptor, form)
        yield writer
        writer.finish()


def _shortened(text: str) -> bytes:
    return text.encode(errors="replace")[:_LONGEST_TEXT].decode(errors="ignore").encode()


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack("=II", kind, length) + body + struct.pack("=I", length)


def _options(*options: tuple[int, bytes]) -> bytes:
    return b"".join(
        struct.pack("=HH", code, len(value)) + value + bytes(-len(value) % 4)
        for code, value in (*options, (_END, b""))
    )
