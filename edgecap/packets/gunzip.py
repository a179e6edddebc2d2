"""Unpacking gzip as it arrives, whatever the input."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from edgecap.packets.sniff import GZIP_MAGIC
from edgecap.packets.unpacking import PIECE, Unpacker


class Gunzip(Unpacker):
    """Unpacks a gzip file, checking each member's CRC and length.

    Zeros after the last member are padding and ignored.
    """

    form = "gzip"

    def __init__(self, piece: int = PIECE) -> None:
        super().__init__(piece)
        self._member: zlib._Decompress | None = None
        self._padding = False

    def _is_cut(self) -> bool:
        return self._member is not None or (bool(self._held) and GZIP_MAGIC.startswith(self._held))

    def _unpack(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member is None:
                if len(data) < len(GZIP_MAGIC) and GZIP_MAGIC.startswith(data) and not self._padding:
                    self._held = data
                    return
                if not self._begins(data):
                    return
                self._member = zlib.decompressobj(wbits=31)
            before = self._member.copy()
            try:
                piece = self._member.decompress(data, self._piece)
            except zlib.error as error:
                yield from _salvaged(before, data)
                self._damaged(error)
                return
            if piece:
                yield piece
            if self._member.eof:
                data = self._member.unused_data
                self._member = None
                self._members += 1
            else:
                data = self._member.unconsumed_tail

    def _begins(self, data: bytes) -> bool:
        """True if a member begins here; else it is padding, or a problem."""
        if data.startswith(GZIP_MAGIC) and not self._padding:
            return True
        if self._members and not data.strip(b"\0"):
            self._padding = True
        else:
            self._foreign()
        return False


def _salvaged(member: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """What comes before the damage in `data`: of a call that fails, zlib gives nothing."""
    while len(data) > 1:
        half = data[: len(data) // 2]
        attempt = member.copy()
        try:
            piece = attempt.decompress(half)
        except zlib.error:
            data = half
            continue
        yield piece
        member, data = attempt, data[len(half) :]
    while True:
        try:
            piece = member.decompress(data, 1)
        except zlib.error:
            return
        if not piece:
            return
        yield piece
        data = member.unconsumed_tail
