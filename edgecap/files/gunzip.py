"""Unpack gzip as it arrives, whatever the input."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress

from edgecap.files.sniff import GZIP_MAGIC
from edgecap.files.unpacking import PIECE, Unpacker

_STEP = 256  # packed bytes that unpack to at most a quarter of a megabyte


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
        # A state that outputs nothing before it gets `begun`, of which `given` bytes have arrived.
        clean, begun, given = self._member.copy() if self._member else None, data, 0
        more = False
        while data or more:
            if self._member is None:
                if len(data) < len(GZIP_MAGIC) and GZIP_MAGIC.startswith(data) and not self._padding:
                    self._held = data
                    return
                if not self._begins(data):
                    return
                self._member = zlib.decompressobj(wbits=31)
                clean, begun, given = None, data, 0
            try:
                piece = self._member.decompress(data, self._piece)
            except zlib.error as error:
                yield from _salvaged(clean or zlib.decompressobj(wbits=31), begun, given)
                self._damaged(error)
                return
            if piece:
                given += len(piece)
                yield piece
            if self._member.eof:
                data, more = self._member.unused_data, False
                self._member = None
                self._members += 1
            else:
                data, more = self._member.unconsumed_tail, len(piece) == self._piece

    def _begins(self, data: bytes) -> bool:
        """Whether a member begins here; else it is padding, or an error."""
        if data.startswith(GZIP_MAGIC) and not self._padding:
            return True
        if self._members and not data.strip(b"\0"):
            self._padding = True
        else:
            self._foreign()
        return False


def _salvaged(member: zlib._Decompress, data: bytes, given: int) -> Iterator[bytes]:
    """The output before the damage in `data`, without its first `given` bytes.

    A zlib call that fails returns nothing, so it is repeated with less and less input.
    """
    for step in (_STEP, 1):
        for start in range(0, len(data), step):
            attempt = member.copy()
            try:
                piece = attempt.decompress(data[start : start + step])
            except zlib.error:
                data = data[start : start + step]
                break
            member = attempt
            yield piece[given:]
            given = max(0, given - len(piece))
        else:
            return
    # A single byte is left; its bits may hold several symbols.
    with suppress(zlib.error):
        while piece := member.decompress(data, 1):
            yield piece[given:]
            given = max(0, given - len(piece))
            data = member.unconsumed_tail
