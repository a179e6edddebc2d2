"""Unpack zstd as it arrives, whatever the input."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator

from edgecap.files.sniff import is_zstd
from edgecap.files.unpacking import PIECE, Unpacker

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MAGIC = 4  # bytes of the magic number at a frame's start
_HEADER = 18  # bytes of the longest frame header
_SKIPPABLE = b"\x2a\x4d\x18"  # after the first byte of a frame without content
_RAW, _REPEATED = 0, 1  # block types: uncompressed, and one byte repeated


class Unzstd(Unpacker):
    """Unpacks a zstd file, and checks the checksums in its frames.

    Frames that ask for a window of more than 128 MiB are refused, as the `zstd` program does.
    """

    form = "zstd"

    def __init__(self, piece: int = PIECE) -> None:
        super().__init__(piece)
        self._frame: zstd.ZstdDecompressor | None = None
        self._blocks = _Blocks()
        self._fed = 0  # bytes of the frame's header passed to the library, at most `_HEADER`

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
                self._frame, self._blocks, self._fed = zstd.ZstdDecompressor(), _Blocks(), 0
            # The library uses another decoder for a frame that it gets whole, and the two find different
            # damage. With the header passed byte by byte, every frame goes through the same one.
            end = at
            if self._frame.needs_input:
                end = min(at + (1 if self._fed < _HEADER else self._blocks.left), len(data))
                self._fed = min(_HEADER, self._fed + 1)
                self._blocks.take(data[at:end])
            try:
                piece = self._frame.decompress(data[at:end], self._piece)
            except zstd.ZstdError as error:
                self._damaged(error)
                return
            at = end  # the library keeps unused input
            if piece:
                yield piece
            if self._frame.eof:
                at -= len(self._frame.unused_data)
                self._frame = None
                self._members += 1


class _Blocks:
    """Where a frame's blocks end, so that the library gets each block by itself.

    A library call that fails returns nothing, and damage must not cost the output before it.

    Attributes:
        left: bytes to the next end of a block.
    """

    def __init__(self) -> None:
        self._steps = _steps()
        self.left, self._matters = next(self._steps)
        self._seen = b""

    def take(self, data: bytes) -> None:
        """Advance over at most `left` bytes."""
        self.left -= len(data)
        if self._matters:
            self._seen += data
        if not self.left:
            self.left, self._matters = self._steps.send(self._seen)
            self._seen = b""


def _steps() -> Generator[tuple[int, bool], bytes, None]:
    """Yield the size of the next field, and whether to send its bytes back here (RFC 8878, 3.1)."""
    head = yield _MAGIC + 1, True
    if head[1:_MAGIC] == _SKIPPABLE:
        size = int.from_bytes(head[_MAGIC:] + (yield 3, True), "little")
        if size:
            yield size, False
    else:
        descriptor = head[_MAGIC]
        single = descriptor >> 5 & 1
        yield (1 - single) + (0, 1, 2, 4)[descriptor & 3] + (single, 2, 4, 8)[descriptor >> 6], False
        last = 0
        while not last:
            block = int.from_bytes((yield 3, True), "little")
            last = block & 1
            kind, size = block >> 1 & 3, block >> 3
            if last and kind == _RAW and size > 1:
                # Read byte by byte, up to the one that shows whether the frame's size fits.
                yield size - 1, False
                size = 1
            if size:
                yield 1 if kind == _REPEATED else size, False
    while True:
        yield 1 << 30, False  # a checksum, or bytes after this frame
