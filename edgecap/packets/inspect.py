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
    inspector = Inspector()
    with opened(path) as file:
        for chunk in chunks(file, path):
            inspector.feed(chunk)
    return inspector.finish()


class Inspector:
    """Inspects bytes as they come. How they are cut into chunks makes no difference to the result.

    >>> inspector = Inspector()
    >>> inspector.feed(b"<html>no packets today</html>")
    >>> inspector.finish().flags
    ('empty', 'not-pcap')
    """

    def __init__(self) -> None:
        self._stream = PacketStream(collect=False)

    def __repr__(self) -> str:
        return f"<Inspector {self._stream!r}>"

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the file."""
        for _ in self._stream.feed(chunk):
            raise AssertionError("a batch that nobody asked for")

    def finish(self) -> Inspection:
        """Say that there are no more bytes, and get the result."""
        return self._stream.finish()
