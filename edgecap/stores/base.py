"""The protocol of every store: a folder, S3, R2, GCS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

UPLOAD_AGE = timedelta(days=1)  # longer than any upload of ours takes
CHUNK = 1 << 20  # bytes per read: measured fastest for one stream


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object's metadata, known before its bytes are read.

    Attributes:
        key: the key below the store's own prefix, with `/` between its parts.
        size: stored bytes.
        modified: time of the last write, aware, UTC.
        etag: the store's version tag, opaque, without quotes, as `If-Match` takes it. Empty if it has none.
        checksums: lower-case algorithm name to hex digest of the **whole** object, as far as the store states
            it: `md5`, `crc32`, `crc32c`, `crc64nvme`, `sha1`, `sha256`, `sha512`, `xxhash3`, `xxhash64`,
            `xxhash128`. For multipart uploads to S3: the digest of the parts' digests, `-`, and the number of
            parts, as `md5-of-parts`, `crc32-of-parts` and so on. A listing may omit them; `stat` does not.
    """

    key: str
    size: int
    modified: datetime
    etag: str = ""
    checksums: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Swept:
    """What `sweep` removed: unfinished files, their bytes, and unfinished multipart uploads.

    `refused` is the reason why uploads remain, if the credentials may not remove them.
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
    """A store of objects. Safe to use from many threads at once.

    Every method raises only these errors of `edgecap.errors`: StoreMissing, StoreDenied,
    StoreUnreachable, StoreUnwritable, StoreFull, ObjectMissing, ObjectExists, ObjectChanged, Damaged.
    """

    @property
    def uri(self) -> str:
        """The store's URI, without secrets."""
        ...

    def check(self, *, write: bool = False) -> None:
        """Raise if the store is missing, denied or unreachable, or (`write`) cannot take puts.

        With `write`, two puts of a new key prove that puts work and never overwrite: see
        `edgecap.stores.write_check`.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose key starts with `prefix`, sorted by key."""
        ...

    def stat(self, key: str) -> ObjectInfo:
        """Return the metadata of `key`, with every checksum that the store states."""
        ...

    def open(
        self, key: str, *, start: int = 0, etag: str = "", length: int | None = None
    ) -> AbstractContextManager[Reader]:
        """Read `key` from byte `start` on, at most `length` bytes, if its version is still `etag`.

        The reader's `info` describes the whole object; its checksums are complete only after the last byte.
        """
        ...

    def put(self, key: str, source: bytes | Path, *, move: bool = False) -> ObjectInfo:
        """Create `key` from bytes or a local file: all of it or nothing, never over an existing key.

        With `move`, the source file may be consumed: a folder renames it, if it is on the same file system.
        The object is durable when this returns.
        """
        ...

    def local(self, key: str) -> Path | None:
        """The path of `key`, to be read only; None if the store is not on this machine."""
        ...

    def delete(self, key: str) -> None:
        """Remove `key`; no error if it does not exist."""
        ...

    def staging(self) -> Path:
        """A local folder from which `put(..., move=True)` is cheap. Created if missing; never listed."""
        ...

    def sweep(
        self,
        older_than: timedelta,
        *,
        ours: Callable[[str], bool],
        uploads_older_than: timedelta = UPLOAD_AGE,
    ) -> Swept:
        """Remove unfinished work: old files in `staging`, and old multipart uploads.

        Args:
            older_than: leave files written since then: a run may still use them. A folder has the age of its
                youngest file. Must be longer than any fetch may stall.
            ours: whether a multipart upload to this key may be aborted. Other programs may use the bucket.
            uploads_older_than: leave uploads that started since then, however long they take.
        """
        ...
