"""Common base of streaming gzip and zstd unpacking."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

# Archives use these words for errors of a packed file.
GZIP_DAMAGED = "gzip-damaged"
ZSTD_DAMAGED = "zstd-damaged"
PIECE = 1 << 20  # maximum bytes in one piece of output, so that a decompression bomb needs little memory
# The libraries copy the bytes after a member's end; small slices keep that cheap if members are tiny.
_SLICE = 1 << 16


class Unpacker(ABC):
    """Unpacks a file of any number of consecutive members, in pieces of limited size.

    `problem` is empty or one line about the first error; all output before the error is still returned. The
    result does not depend on how the file is cut into chunks.

    Args:
        piece: maximum bytes in one piece.
    """

    form: ClassVar[str]

    def __init__(self, piece: int = PIECE) -> None:
        self._piece = piece
        self.problem = ""
        self.size = 0  # unpacked bytes so far
        self._held = b""  # too few bytes to tell whether a member begins
        self._members = 0  # complete ones so far

    def __repr__(self) -> str:
        seen = f"{self.size} bytes, {self._members} members"
        return f"<{type(self).__name__} [{seen}] {self.problem or 'ok'}>"

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Unpack the next bytes of the file, in pieces."""
        view = memoryview(chunk)
        for start in range(0, len(view), _SLICE):
            if self.problem:
                return
            data = self._held + bytes(view[start : start + _SLICE])
            self._held = b""
            for piece in self._unpack(data):
                self.size += len(piece)
                yield piece

    def finish(self) -> None:
        """End the stream; an unfinished member is an error."""
        if self.problem:
            return
        if self._is_cut():
            self.problem = f"the {self.form} stream is cut after {self.size} unpacked bytes"
        elif not self._members:
            self.problem = f"this is not a {self.form} stream"

    @abstractmethod
    def _unpack(self, data: bytes) -> Iterator[bytes]:
        """Yield the output for these bytes; sets `problem`, or `_held` if there are too few of them."""

    @abstractmethod
    def _is_cut(self) -> bool:
        """Whether the file ends too early here."""

    def _damaged(self, error: Exception) -> None:
        self.problem = f"the {self.form} stream is damaged after {self.size} unpacked bytes: {error}"

    def _foreign(self) -> None:
        self.problem = f"something other than {self.form} follows {self.size} unpacked bytes"
