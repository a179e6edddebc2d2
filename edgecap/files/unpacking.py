"""What unpacking gzip and zstd as they arrive have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

# How archives name what is wrong with a packed file.
GZIP_DAMAGED = "gzip-damaged"
ZSTD_DAMAGED = "zstd-damaged"
PIECE = 1 << 20  # most bytes in one piece of output: a bomb comes out in many, none of them large
# The libraries copy what follows the end of a member; small slices keep that cheap where members are tiny.
_SLICE = 1 << 16


class Unpacker(ABC):
    """Unpacks a file of any number of members, one after the other, in pieces of bounded size.

    `problem` is empty while all is well, else one line on what is wrong; what was unpacked before that point
    has been handed out. Nothing depends on how the file was cut into chunks.

    Args:
        piece: most bytes in one piece.
    """

    form: ClassVar[str]

    def __init__(self, piece: int = PIECE) -> None:
        self._piece = piece
        self.problem = ""
        self.size = 0  # unpacked bytes so far
        self._held = b""  # too few bytes to know whether a member begins
        self._members = 0  # whole ones so far

    def __repr__(self) -> str:
        seen = f"{self.size} bytes, {self._members} members"
        return f"<{type(self).__name__} [{seen}] {self.problem or 'ok'}>"

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Unpack the next bytes of the file; in pieces."""
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
        """Say that there are no more bytes; a member that has not ended by now is a problem."""
        if self.problem:
            return
        if self._is_cut():
            self.problem = f"the {self.form} stream is cut after {self.size} unpacked bytes"
        elif not self._members:
            self.problem = f"this is no {self.form} stream"

    @abstractmethod
    def _unpack(self, data: bytes) -> Iterator[bytes]:
        """The pieces that these bytes give; sets `problem`, or `_held` if there are too few of them."""

    @abstractmethod
    def _is_cut(self) -> bool:
        """Whether the file may not end here."""

    def _damaged(self, error: Exception) -> None:
        self.problem = f"the {self.form} stream is damaged after {self.size} unpacked bytes: {error}"

    def _foreign(self) -> None:
        self.problem = f"something other than {self.form} follows {self.size} unpacked bytes"
