"""Inspecting a file of packets while it streams by: what is in it, and where it stops being good.

Nothing in a file's content makes this raise, hang or hold more than one record's bytes: a capture that
cannot be read is kept all the same, with flags that say so.
"""

from __future__ import annotations

from pathlib import Path

from edgecap.packets.inspection import Inspection
from edgecap.packets.source import chunks, opened
from edgecap.packets.stream import PacketStream


def inspect_file(path: Path) -> Inspection:
    """Inspect a local file, plain or packed with gzip or zstd.

    Raises:
        ObjectMissing: there is no such file.
        StoreDenied: it may not be read.
        StoreUnreachable: the disk or file system failed.
    """
    found = inspect_within(path, None)
    if found is None:
        raise AssertionError("a bound that nobody set")
    return found


def inspect_within(path: Path, most: int | None) -> Inspection | None:
    """As `inspect_file`; None if the file is packed and has more than `most` bytes unpacked."""
    inspector = Inspector(most=most)
    with opened(path) as file:
        for chunk in chunks(file, path):
            inspector.feed(chunk)
            if inspector.too_large:
                return None
    return inspector.finish()


class Inspector:
    """Inspects bytes as they come. How they are cut into chunks makes no difference to the result.

    >>> inspector = Inspector()
    >>> inspector.feed(b"<html>no packets today</html>")
    >>> inspector.finish().flags
    ('empty', 'not-pcap')
    """

    def __init__(self, *, most: int | None = None) -> None:
        self._stream = PacketStream(collect=False, most=most)

    def __repr__(self) -> str:
        return f"<Inspector {self._stream!r}>"

    @property
    def too_large(self) -> bool:
        """Whether a packed file turned out to have more than `most` bytes, so that it is read no further."""
        return self._stream.too_large

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the file."""
        for _ in self._stream.feed(chunk):
            raise AssertionError("a batch that nobody asked for")

    def finish(self) -> Inspection:
        """Say that there are no more bytes, and get the result."""
        return self._stream.finish()
