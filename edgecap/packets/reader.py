"""Reading packets in batches, from a file or a stream, plain or packed, in memory that stays small.

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

    Whatever the bytes are, iterating ends and raises nothing; `inspection` then says what was found, where
    good data ends and what was lost from there on.

    Args:
        file: read from where it stands to its end. It stays open.
        where: what to call it in an error.
        read_size: bytes asked for at a time; a batch has at most these, or those of one record.
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
        """The interfaces described so far; a row's `interface` is a place in this list."""
        return self._stream.interfaces

    def __iter__(self) -> Iterator[Batch]:
        """Batches of packets.

        Raises:
            StoreUnreachable: reading failed.
        """
        return self._batches

    def inspection(self) -> Inspection:
        """What is in the file, as `inspect_file` tells it. What has not been iterated over is read for it.

        Raises:
            StoreUnreachable: reading failed.
        """
        for _ in self._batches:
            pass
        if self._found is None:
            raise RuntimeError("reading failed before; there is nothing to tell")
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
