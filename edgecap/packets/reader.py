"""Read packets in batches, from a file or a stream, plain or packed, in little memory.

>>> import io
>>> reader = PacketReader(io.BytesIO(b"<html>no packets today</html>"))
>>> [len(batch.rows) for batch in reader]
[]
>>> reader.inspection().damage
'it is an HTML page, not packets'
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecap.files.unpacking import PIECE
from edgecap.packets.columns import Batch, Interface
from edgecap.packets.inspection import Inspection
from edgecap.packets.source import READ, Readable, chunks, opened
from edgecap.packets.stream import PacketStream


class PacketReader:
    """The packets of one file, in its order, once.

    Iterating never raises because of the content; `inspection` then says what was found, where good data ends
    and what was lost after it.

    Args:
        file: read from its current position to its end. It stays open.
        where: its name in errors.
        read_size: bytes per read; a batch has at most these, or those of one record.
    """

    def __init__(self, file: Readable, *, where: Path | str = "the stream", read_size: int = READ) -> None:
        self._stream = PacketStream(collect=True, piece=min(read_size, PIECE))
        self._chunks = chunks(file, where, read_size)
        self._batches = self._read()
        self._found: Inspection | None = None

    def __repr__(self) -> str:
        return f"<PacketReader {self._stream!r}>"

    @property
    def interfaces(self) -> list[Interface]:
        """The interfaces so far; a row's `interface` is an index into this list."""
        return self._stream.interfaces

    @property
    def comments(self) -> tuple[bytes, ...]:
        """The comments of a pcapng's first section, UTF-8; those of later ones are with their interfaces."""
        return self._stream.comments

    def __iter__(self) -> Iterator[Batch]:
        """Batches of packets.

        Raises:
            StoreUnreachable: reading failed.
        """
        return self._batches

    def inspection(self) -> Inspection:
        """The file's content, as from `inspect_file`. Reads the rest of the file first.

        Raises:
            StoreUnreachable: reading failed.
        """
        for _ in self._batches:
            pass
        if self._found is None:
            raise RuntimeError("reading failed before")
        return self._found

    def _read(self) -> Iterator[Batch]:
        for chunk in self._chunks:
            yield from self._stream.feed(chunk)
        self._found = self._stream.finish()


@contextmanager
def open_packets(path: Path, *, read_size: int = READ) -> Iterator[PacketReader]:
    """A reader of the file at `path`.

    Raises:
        ObjectMissing: there is no such file.
        StoreDenied: it may not be read.
        StoreUnreachable: the disk or file system failed.
    """
    with opened(path) as file:
        yield PacketReader(file, where=path, read_size=read_size)
