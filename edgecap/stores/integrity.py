"""Whether the bytes that arrived are the bytes that were stored.

No library below checks this for ranged, resumed or multipart reads, so it is done here, once for all stores,
against the best checksum that the store states: the cheapest that finds every flipped byte.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol, runtime_checkable

import google_crc32c

from edgecap.errors import Damaged
from edgecap.stores.base import ObjectInfo, Store

_MIB = 1 << 20
_SMALLEST_PART = 5 * _MIB  # S3's rule for all parts but the last
# What uploaders are known to use; the first that fits the number of parts are tried.
_USUAL_PARTS = tuple(
    size * unit
    for unit in (_MIB, 1_000_000)
    for size in (
        8,
        5,
        16,
        10,
        64,
        50,
        32,
        100,
        20,
        15,
        25,
        6,
        7,
        12,
        24,
        40,
        48,
        80,
        128,
        200,
        256,
        500,
        512,
        1024,
    )
)
_MOST_GUESSES = 3  # each costs an MD5 of all bytes


class Verdict(StrEnum):
    """How the bytes were verified, the cheapest first; the values are kept in manifests.

    `...-of-parts` is S3's for objects that were put in parts: the checksum of the parts' checksums.
    """

    SHA256 = "sha256"  # it is taken anyway
    CRC32C = "crc32c"
    CRC32C_PARTS = "crc32c-of-parts"
    CRC32 = "crc32"
    CRC32_PARTS = "crc32-of-parts"
    MD5 = "md5"
    MD5_PARTS = "md5-of-parts"
    TWO_READS = "two-reads"  # no checksum applies, and reading twice gave the same bytes
    GZIP = "gzip-crc32"  # the store states nothing, but the gzip stream's own checksum is right
    LENGTH = "length"  # the store states no more, and it came whole


class _Digest(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc32c:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        # The C code behind it takes nothing but bytes.
        self._value = google_crc32c.extend(self._value, data if isinstance(data, bytes) else bytes(data))

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _md5() -> _Digest:
    return hashlib.md5(usedforsecurity=False)


_DIGESTS: dict[Verdict, Callable[[], _Digest]] = {
    Verdict.CRC32C: _Crc32c,
    Verdict.CRC32C_PARTS: _Crc32c,
    Verdict.CRC32: _Crc32,
    Verdict.CRC32_PARTS: _Crc32,
    Verdict.MD5: _md5,
    Verdict.MD5_PARTS: _md5,
}
_OF_PARTS = (Verdict.CRC32C_PARTS, Verdict.CRC32_PARTS, Verdict.MD5_PARTS)


@runtime_checkable
class TellsPartSize(Protocol):
    """A store that may know the part size of a multipart object."""

    def part_size(self, info: ObjectInfo) -> int | None:
        """Bytes of each part but the last, or None."""
        ...


class Check:
    """Takes an object's bytes in order, and then says if they are right.

    Args:
        store: where they come from; asked for the part size of a multipart object.
        info: the object, with the checksums that its store states.
    """

    def __init__(self, store: Store, info: ObjectInfo) -> None:
        self._where = f"{store.uri}/{info.key}"
        self._info = info
        self._size = 0
        stated = dict(info.checksums)
        self._method = next((each for each in Verdict if each in stated), Verdict.LENGTH)
        self._stated = stated.get(self._method, "")
        self._guessed = False
        self._digests: list[_Whole | _Parts] = []
        if self._method in _OF_PARTS:
            known = store.part_size(info) if isinstance(store, TellsPartSize) else None
            self._guessed = known is None
            sizes = [known] if known else likely_part_sizes(info.size, int(self._stated.rpartition("-")[2]))
            self._digests = [_Parts(_DIGESTS[self._method], size) for size in sizes]
        elif self._method in _DIGESTS:
            self._digests = [_Whole(_DIGESTS[self._method]())]

    def __repr__(self) -> str:
        return f"<Check {self._where} by {self._method} [{self._size} of {self._info.size} bytes]>"

    @property
    def costly(self) -> bool:
        """Whether it takes longer than reading does."""
        return self._method in (Verdict.MD5, Verdict.MD5_PARTS) or len(self._digests) > 1

    def update(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._size += len(chunk)
        for each in self._digests:
            each.update(chunk)

    def finish(self, sha256: str) -> Verdict | None:
        """Say how the bytes were verified; None if the parts of a multipart object could not be guessed.

        Args:
            sha256: hex digest of the same bytes, which is taken anyway.

        Raises:
            Damaged: they are not what the store states.
        """
        if self._size != self._info.size:
            raise self._damaged(f"{self._size} bytes arrived instead of {self._info.size}")
        if self._method is Verdict.LENGTH:
            return self._method
        found = [sha256] if self._method is Verdict.SHA256 else [each.hexdigest() for each in self._digests]
        if self._stated in found:
            return self._method
        if self._guessed:
            return None
        raise self._damaged(f"the {self._method} of the bytes is {found[0]}, the store states {self._stated}")

    def _damaged(self, what: str) -> Damaged:
        return Damaged(
            what, where=self._where, todo="try again; if it stays so, the stored object is damaged"
        )


class _Whole:
    def __init__(self, digest: _Digest) -> None:
        self._digest = digest
        self.update = digest.update

    def hexdigest(self) -> str:
        return self._digest.digest().hex()


class _Parts:
    """S3's way for an object put in parts: the digest of the parts' digests, and their number."""

    def __init__(self, make: Callable[[], _Digest], size: int) -> None:
        self._make = make
        self._size = size
        self._room = size
        self._part = make()
        self._whole = make()
        self._count = 0

    def update(self, chunk: bytes) -> None:
        if len(chunk) < self._room:
            self._part.update(chunk)
            self._room -= len(chunk)
            return
        view = memoryview(chunk)
        while view:
            self._part.update(view[: self._room])
            taken = min(len(view), self._room)
            self._room -= taken
            view = view[taken:]
            if not self._room:
                self._close()

    def hexdigest(self) -> str:
        if self._room != self._size or not self._count:
            self._close()
        return f"{self._whole.digest().hex()}-{self._count}"

    def _close(self) -> None:
        self._whole.update(self._part.digest())
        self._part = self._make()
        self._room = self._size
        self._count += 1


def likely_part_sizes(size: int, count: int) -> list[int]:
    """Part sizes that would cut `size` bytes into `count` parts, the most usual first.

    >>> likely_part_sizes(100 << 20, 13)
    [8388608, 8000000]
    """
    if count == 1:
        return [max(size, 1)]
    fitting = [each for each in _USUAL_PARTS if each >= _SMALLEST_PART and -(-size // each) == count]
    # Few parts fit many sizes; an uploader that counts in MiB may have used any.
    smallest = max(_SMALLEST_PART, -(-size // count))
    fitting.append(-(-smallest // _MIB) * _MIB)
    unique = dict.fromkeys(each for each in fitting if -(-size // each) == count)
    return list(unique)[:_MOST_GUESSES]
