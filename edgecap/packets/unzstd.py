"""Unpacking zstd as it arrives, whatever the input."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from edgecap.packets.sniff import is_zstd
from edgecap.packets.unpacking import PIECE, Unpacker

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MAGIC = 4  # bytes of the number that begins a frame
_HEADER = 18  # bytes of the longest frame header


class Unzstd(Unpacker):
    """Unpacks a zstd file, checking what checksums its frames carry.

    Frames that ask for a window of more than 128 MiB are refused, as the `zstd` program does.
    """

    form = "zstd"

    def __init__(self, piece: int = PIECE) -> None:
        super().__init__(piece)
        self._frame: zstd.ZstdDecompressor | None = None
        self._fed = 0  # bytes of the header that the frame has been given, at most `_HEADER`

    def _is_cut(self) -> bool:
        return self._frame is not None or bool(self._held)

    def _unpack(self, data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data) or (self._frame is not None and not self._frame.needs_input):
            if self._frame is None:
                if len(data) - at < _MAGIC:
                    self._held = data[at:]
                    return
                if not is_zstd(data[at : at + _MAGIC]):
                    self._foreign()
                    return
                self._frame, self._fed = zstd.ZstdDecompressor(), 0
            # The library has another decoder for a frame that it is given whole, and the two do not find
            # the same damage. Given its header byte by byte, every frame goes through the same one.
            end = min(at + 1, len(data)) if self._fed < _HEADER else len(data)
            self._fed = min(_HEADER, self._fed + 1)
            try:
                piece = self._frame.decompress(data[at:end], self._piece)
            except zstd.ZstdError as error:
                self._damaged(error)
                return
            at = end  # the library holds what it has not used
            if piece:
                yield piece
            if self._frame.eof:
                at -= len(self._frame.unused_data)
                self._frame = None
                self._members += 1
