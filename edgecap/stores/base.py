"""The protocol that every home of bytes follows: a folder, S3, R2, GCS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

UPLOAD_AGE = timedelta(days=1)  # no file that we put takes as long
CHUNK = 1 << 20  # bytes read at a time: the size that measured fastest for one stream


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store says of an object, before any byte of it is read.

    Attributes:
        key: the key below the store's own prefix, with `/` between its parts.
        size: bytes, as stored.
        modified: time of the last write, aware, UTC.
        etag: the store's version tag, opaque and without quotes; what `If-Match` takes. Empty if it has none.
        checksums: lower-case algorithm name to hex digest of the **whole** object, as far as the store states
            it: `md5`, `crc32`, `crc32c`, `crc64nvme`, `sha1`, `sha256`, `sha512`, `xxhash3`, `xxhash64`,
            `xxhash128`; for what was put to S3 in parts the digest of the parts' digests with `-` and their
            number: `md5-of-parts`, `crc32-of-parts` and so on. May need a `stat`; a listing may leave it out.
    """

    key: str
    size: int
    modified: datetime
    etag: str = ""
    checksums: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Swept:
    """What `sweep` removed: files that nobody finished, their bytes, and uploads that nobody completed.

    `refused` says why uploads are left to the provider's own rules, if the credentials may not remove them.
    """

    files: int = 0
    bytes: int = 0
    uploads: int = 0
    refused: str = ""


class Reader(Protocol):
    """An object being read, in chunks of at most `CHUNK` bytes."""

    info: ObjectInfo

    def __iter__(self) -> Iterator[bytes]: ...


class Store(Protocol):
    """A place for bytes. Safe to use from many threads at once.

    Every method raises only errors of the tree in `edgecap.errors`: StoreMissing, StoreDenied,
    StoreUnreachable, StoreUnwritable, StoreFull, ObjectMissing, ObjectExists, ObjectChanged, Damaged.
    """

    @property
    def uri(self) -> str:
        """Where it is, without secrets."""
        ...

    def check(self, *, write: bool = False) -> None:
        """Raise what is wrong with the place: missing, denied, unreachable, or (`write`) not fit for puts.

        With `write` two puts of a new key prove that puts work and never overwrite: see
        `edgecap.stores.write_check`.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose key starts with `prefix`, sorted by key, page after page."""
        ...

    def stat(self, key: str) -> ObjectInfo:
        """What the store says of `key`, with every checksum that it states."""
        ...

    def open(
        self, key: str, *, start: int = 0, etag: str = "", length: int | None = None
    ) -> AbstractContextManager[Reader]:
        """Read `key` from byte `start` on, at most `length` bytes, only if its version still is `etag`.

        The reader's `info` is of the whole object; its checksums are sure to be there only when all is read.
        """
        ...

    def put(self, key: str, source: bytes | Path, *, move: bool = False) -> ObjectInfo:
        """Create `key` from bytes or a local file: all of it or nothing, never over an existing one.

        With `move` the source file may be consumed (a folder renames it, if both lie on one file system).
        When it returns, the object is durable.
        """
        ...

    def local(self, key: str) -> Path | None:
        """Where `key` lies as a file of this machine, only to be read; None if it lies elsewhere."""
        ...

    def delete(self, key: str) -> None:
        """Remove `key`; nothing happens if it is not there."""
        ...

    def staging(self) -> Path:
        """A local folder from which `put(..., move=True)` is cheap. Made if missing; never listed."""
        ...

    def sweep(
        self,
        older_than: timedelta,
        *,
        ours: Callable[[str], bool],
        uploads_older_than: timedelta = UPLOAD_AGE,
    ) -> Swept:
        """Remove what was begun and never finished: old files in `staging`, and old uploads in parts.

        Args:
            older_than: what was written to since then is left alone, since somebody may be at it; a folder is
                as young as the youngest file in it. Longer than any fetch may go without a byte.
            ours: whether an upload in parts to this key is ours to abort. Others write to buckets, too.
            uploads_older_than: uploads that were begun since then are left alone, however long they take.
        """
        ...
