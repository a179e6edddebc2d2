"""A file being fetched: hashed and un-gzipped as it arrives, durable before it gets its final name."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from edgecap.files.durable import begin_write_back, keep_free
from edgecap.files.gunzip import Gunzip
from edgecap.files.sniff import GZIP_MAGIC
from edgecap.files.unpacking import GZIP_DAMAGED
from edgecap.stores.integrity import VerifiedBy

GZIP = "gzip"
GZIP_TOO_LARGE = "gzip-too-large"
_WRITE_BACK = (
    16 << 20
)  # bytes after which the disk may begin, so that there is little left to wait for at the end


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetched file.

    Attributes:
        path: the file; a damaged gzip file has `.gz` appended to the requested name.
        size: bytes of the file.
        sha256: hex digest of the file.
        source_size: bytes of the object.
        source_sha256: hex digest of the object; differs from `sha256` only if it was un-gzipped.
        encoding: empty; `gzip` if it was un-gzipped; `gzip-damaged` if that failed; `gzip-too-large` if it
            would be too large. In the last two cases the file holds the original bytes.
        verified_by: a `VerifiedBy`: `sha256`, `crc32c`, `md5-of-parts`, `two-reads` and so on.
    """

    path: Path
    size: int
    sha256: str
    source_size: int
    source_sha256: str
    encoding: str = ""
    verified_by: str = ""


class PendingFile:
    """Temporary files beside `target`. `publish` renames one to it; `clear` removes them.

    Gzip is detected by its magic bytes, not by a name. The packed bytes are kept until they have proved to be
    whole: a damaged gzip file is most useful unchanged.

    Args:
        target: the final path.
        most: maximum unpacked bytes of a gzip file. A larger one stays packed: it could fill any disk.
    """

    def __init__(self, target: Path, most: int) -> None:
        self._target = target
        self._most = most
        self._too_large = False
        self._source = _File(target)
        self._plain: _File | None = None
        self._gunzip: Gunzip | None = None
        self._head = b""
        self.source_sha256 = ""

    @property
    def unpacked(self) -> bool:
        """Whether the object was a gzip file that unpacked without error, its own checksum included."""
        return self._gunzip is not None and not self.problem

    @property
    def too_large(self) -> bool:
        """Whether it is a gzip file with more than `most` unpacked bytes."""
        return self._too_large

    @property
    def problem(self) -> str:
        """The error of the gzip stream; empty if there is none, or if it is not gzip."""
        if self._too_large:
            return f"unpacked it has more than {self._most} bytes"
        return self._gunzip.problem if self._gunzip else ""

    def write(self, chunk: bytes) -> None:
        """Add the next bytes of the object. Raises OSError."""
        if len(self._head) < len(GZIP_MAGIC) and self._gunzip is None:
            self._head += chunk[: len(GZIP_MAGIC) - len(self._head)]
            if self._head == GZIP_MAGIC:
                self._gunzip, self._plain = Gunzip(), _File(self._target)
                # If the magic came in two chunks, `source` has its first bytes already, and `chunk` the rest.
                self._unpack(GZIP_MAGIC[: max(0, self._source.size)])
        self._source.write(chunk)
        self._unpack(chunk)

    def finish(self) -> None:
        """End the stream."""
        if self._gunzip and not self._too_large:
            self._gunzip.finish()
        self.source_sha256 = self._source.hexdigest()

    def publish(self, verdict: VerifiedBy) -> Fetched:
        """Make the file durable and give it its name; the caller syncs the folder."""
        kept, target, encoding = self._source, self._target, ""
        if self._plain and not self.problem:
            kept, encoding = self._plain, GZIP
        elif self._plain:
            target = target.with_name(target.name + ".gz")
            encoding = GZIP_TOO_LARGE if self._too_large else GZIP_DAMAGED
        kept.publish(target)
        return Fetched(
            target,
            kept.size,
            kept.hexdigest(),
            self._source.size,
            self.source_sha256,
            encoding,
            verdict.value,
        )

    def clear(self) -> None:
        """Remove unpublished temporary files."""
        self._source.clear()
        if self._plain:
            self._plain.clear()

    def _unpack(self, chunk: bytes) -> None:
        if self._gunzip and self._plain and not self.problem:
            for piece in self._gunzip.feed(chunk):
                if self._plain.size + len(piece) > self._most:
                    self._too_large = True
                    self._plain.empty()
                    return
                self._plain.write(piece)


class _File:
    """A temporary file beside `target`, and its hash."""

    def __init__(self, target: Path) -> None:
        self._path = target.with_name(f".{uuid.uuid4().hex}.part")
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        self._digest = hashlib.sha256()
        self._begun = 0
        self._published = False
        self.size = 0

    def empty(self) -> None:
        os.ftruncate(self._descriptor, 0)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._digest.update(data)
        self.size += len(data)
        if self.size - self._begun >= _WRITE_BACK:
            keep_free(self._descriptor, self._path.parent)
            begin_write_back(self._descriptor, self._begun, self.size - self._begun)
            self._begun = self.size

    def hexdigest(self) -> str:
        return self._digest.hexdigest()

    def publish(self, target: Path) -> None:
        os.fsync(self._descriptor)
        self._path.replace(target)
        self._published = True

    def clear(self) -> None:
        os.close(self._descriptor)
        if not self._published:
            with contextlib.suppress(OSError):
                self._path.unlink()
