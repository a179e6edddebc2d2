"""Read packets from local files, with failures as errors of `edgecap.errors`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from edgecap.errors import ObjectMissing, StoreDenied, StoreUnreachable
from edgecap.files.interruption import check

READ = 1 << 22  # bytes per read: measured fastest for parsing


class Readable(Protocol):
    """A source of packets: a file, a pipe, a socket's file, the body of an answer."""

    def read(self, size: int, /) -> bytes | None:
        """At most `size` bytes; none at the end."""


@contextmanager
def opened(path: Path) -> Iterator[Readable]:
    """The file at `path`, unbuffered.

    Raises:
        ObjectMissing: there is no such file.
        StoreDenied: it may not be read.
        StoreUnreachable: the disk or file system failed.
    """
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise unreadable(error, path) from None
    with file:
        yield file


def chunks(file: Readable, where: Path | str, size: int = READ) -> Iterator[bytes]:
    """The rest of `file`, in pieces.

    Raises:
        StoreUnreachable: reading failed; `where` names the file.
    """
    while True:
        check()  # a cancelled run must not read gigabytes first
        try:
            chunk = file.read(size)
        except OSError as error:
            raise unreadable(error, where) from None
        if not chunk:
            return
        yield chunk


def unreadable(error: OSError, where: Path | str) -> ObjectMissing | StoreDenied | StoreUnreachable:
    """The error for a file that cannot be read."""
    place = str(where)
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return ObjectMissing("there is no such file", where=place, hint="check the path")
    if isinstance(error, PermissionError):
        return StoreDenied("the file may not be read", where=place, hint="check its permissions")
    return StoreUnreachable(f"reading failed: {error.strerror}", where=place, hint="check the disk")
