"""Inspect a file of packets as it streams by: its content, and where good data ends.

No file content makes this raise, hang or hold more than one record's bytes: an unreadable capture is kept
too, and flagged.
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
        raise AssertionError("stopped at a limit that was not set")
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
    """Inspects bytes as they come. The result does not depend on the chunks.

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
        """Whether a packed file has more than `most` bytes, so that reading stopped."""
        return self._stream.too_large

    def feed(self, chunk: bytes) -> None:
        """Add the next bytes of the file."""
        for _ in self._stream.feed(chunk):
            raise AssertionError("a batch although none is collected")

    def finish(self) -> Inspection:
        """End the file, and return the result."""
        return self._stream.finish()
