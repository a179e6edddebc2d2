"""Check that the bytes that arrived are the bytes that were stored.

The client libraries do not check ranged, resumed or multipart reads. So all stores check here, against the
best checksum that the store states: the cheapest one that finds every flipped byte.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from itertools import repeat
from typing import Any, Protocol, runtime_checkable

import google_crc32c

from edgecap.errors import Damaged
from edgecap.stores.base import ObjectInfo, Store

_MIB = 1 << 20
_SMALLEST_PART = 5 * _MIB  # S3's minimum for all parts but the last
# Part sizes of known uploaders; those that fit the number of parts are tried in this order.
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
_ENDLESS = 1 << 62  # a last part of this size takes any excess bytes


class VerifiedBy(StrEnum):
    """How the bytes were verified. The first of these that the store states is checked.

    Checksums of the whole object come first, the cheapest before the others. Manifests keep the values.
    `...-of-parts` is S3's checksum of the parts' checksums, for multipart uploads.
    """

    SHA256 = "sha256"  # computed in any case
    CRC32C = "crc32c"
    CRC64NVME = "crc64nvme"
    XXHASH3 = "xxhash3"
    XXHASH128 = "xxhash128"
    XXHASH64 = "xxhash64"
    CRC32 = "crc32"
    SHA1 = "sha1"
    MD5 = "md5"
    SHA512 = "sha512"
    CRC32C_PARTS = "crc32c-of-parts"
    CRC64NVME_PARTS = "crc64nvme-of-parts"
    XXHASH3_PARTS = "xxhash3-of-parts"
    XXHASH128_PARTS = "xxhash128-of-parts"
    XXHASH64_PARTS = "xxhash64-of-parts"
    CRC32_PARTS = "crc32-of-parts"
    SHA256_PARTS = "sha256-of-parts"
    SHA1_PARTS = "sha1-of-parts"
    MD5_PARTS = "md5-of-parts"
    SHA512_PARTS = "sha512-of-parts"
    GZIP = "gzip-crc32"  # the store states nothing, but the gzip stream's own checksum is right
    TWO_READS = "two-reads"  # no checksum applies; two reads gave the same bytes
    ONE_READ = "one-read"  # no checksum applies, and the API gives a simple capture only once
    READS_DIFFER = "reads-differ"  # no checksum applies, and each read from the API gave other bytes


_OF_PARTS = "-of-parts"
_UNSTATED = (VerifiedBy.GZIP, VerifiedBy.TWO_READS, VerifiedBy.ONE_READ, VerifiedBy.READS_DIFFER)
_STATED = tuple(each for each in VerifiedBy if each not in _UNSTATED)
_COSTLY = ("md5", "sha1", "sha256", "sha512")  # slower than reading


class _Digest(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    """A CRC with hashlib's interface; `extend` continues from an earlier value."""

    def __init__(self, extend: Callable[[Any, int], int], width: int) -> None:
        self._extend = extend
        self._width = width
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._extend(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._width, "big")


class _XxHash:
    """An XXHash of awscrt with hashlib's interface."""

    def __init__(self, hasher: Any) -> None:
        self._hasher = hasher

    def update(self, data: bytes | memoryview, /) -> None:
        self._hasher.update(data if isinstance(data, bytes) else bytes(data))  # it accepts only bytes

    def digest(self) -> bytes:
        return bytes(self._hasher.finalize())


def _crc32c(data: bytes | memoryview, value: int) -> int:
    # The C code accepts only bytes.
    return int(google_crc32c.extend(value, data if isinstance(data, bytes) else bytes(data)))


def _new_digest(algorithm: str) -> _Digest:
    if algorithm == "crc32c":
        return _Crc(_crc32c, 4)
    if algorithm == "crc32":
        return _Crc(zlib.crc32, 4)
    if algorithm.startswith(("crc64", "xxhash")):
        # The import takes 40 ms; with boto3 it is already loaded.
        from awscrt.checksums import XXHash, crc64nvme  # noqa: PLC0415

        if algorithm == "crc64nvme":
            return _Crc(crc64nvme, 8)
        makers = {
            "xxhash3": XXHash.new_xxhash3_64,
            "xxhash64": XXHash.new_xxhash64,
            "xxhash128": XXHash.new_xxhash3_128,
        }
        return _XxHash(makers[algorithm]())
    return hashlib.new(algorithm, usedforsecurity=False)


@runtime_checkable
class TellsPartSizes(Protocol):
    """A store that may know the part sizes of a multipart object."""

    def part_sizes(self, info: ObjectInfo, *, exact: bool) -> Sequence[int] | None:
        """Bytes of each part in order; None if the store does not tell.

        Args:
            info: the object.
            exact: ask for each part. Otherwise, if the first and the last part fit equal sizes, all parts are
                assumed equal: two requests instead of thousands.
        """
        ...


class Check:
    """Takes an object's bytes in order, then verifies them.

    Args:
        store: the store; asked for the part sizes of a multipart object.
        info: the object, with the checksums that the store states.
        exact: ask the store for every part's size, because the bytes did not match the assumed sizes.
    """

    def __init__(self, store: Store, info: ObjectInfo, *, exact: bool = False) -> None:
        self._where = f"{store.uri}/{info.key}"
        self._info = info
        self._size = 0
        stated = dict(info.checksums)
        self._method = next((each for each in _STATED if each in stated), None)
        self._stated = stated[self._method] if self._method else ""
        self._algorithm = (self._method or "").removesuffix(_OF_PARTS)
        self._sure = True
        self._digests: list[_Whole | _Parts] = []
        if self._method and self._method.endswith(_OF_PARTS):
            self._digests = [_Parts(self._algorithm, sizes) for sizes in self._cuts(store, exact=exact)]
        elif self._method not in (None, VerifiedBy.SHA256):
            self._digests = [_Whole(_new_digest(self._algorithm))]

    def __repr__(self) -> str:
        return f"<Check {self._where} by {self._method} [{self._size} of {self._info.size} bytes]>"

    @property
    def costly(self) -> bool:
        """Whether hashing takes longer than reading."""
        return (bool(self._digests) and self._algorithm in _COSTLY) or len(self._digests) > 1

    def update(self, chunk: bytes) -> None:
        """Add the next bytes."""
        self._size += len(chunk)
        for each in self._digests:
            each.update(chunk)

    def finish(self, sha256: str) -> VerifiedBy | None:
        """Return how the bytes were verified; None if no stated checksum can tell.

        That is so if the store states no checksum, or if it states one of parts, their sizes are uncertain,
        and it does not match. The caller must then read the same bytes twice.

        Args:
            sha256: hex digest of the same bytes, which is computed in any case.

        Raises:
            Damaged: the bytes do not match the store's checksum or size.
        """
        if self._size != self._info.size:
            raise self._damaged(f"{self._size} bytes arrived instead of {self._info.size}")
        if self._method is None:
            return None
        found = (
            [sha256] if self._method is VerifiedBy.SHA256 else [each.hexdigest() for each in self._digests]
        )
        if self._stated in found:
            return self._method
        if not self._sure:
            return None
        raise self._damaged(f"the {self._method} of the bytes is {found[0]}, the store states {self._stated}")

    def _cuts(self, store: Store, *, exact: bool) -> list[Iterable[int]]:
        """The possible part sizes of the object."""
        count = int(self._stated.rpartition("-")[2])
        if count == 1:
            return [[self._info.size]]
        told = store.part_sizes(self._info, exact=exact) if isinstance(store, TellsPartSizes) else None
        self._sure = exact and told is not None
        if told is not None:
            return [told]
        return [repeat(size) for size in likely_part_sizes(self._info.size, count)]

    def _damaged(self, what: str) -> Damaged:
        return Damaged(
            what, where=self._where, hint="try again; if this persists, the stored object is damaged"
        )


class _Whole:
    def __init__(self, digest: _Digest) -> None:
        self._digest = digest
        self.update = digest.update

    def hexdigest(self) -> str:
        return self._digest.digest().hex()


class _Parts:
    """S3's checksum of a multipart object: the digest of the parts' digests, and their number."""

    def __init__(self, algorithm: str, sizes: Iterable[int]) -> None:
        self._algorithm = algorithm
        self._sizes = iter(sizes)
        self._room = next(self._sizes, _ENDLESS)
        self._part = _new_digest(algorithm)
        self._whole = _new_digest(algorithm)
        self._open = False  # whether the current part has bytes that are not in the whole yet
        self._count = 0

    def update(self, chunk: bytes) -> None:
        view = chunk if len(chunk) < self._room else memoryview(chunk)
        while view:
            piece = view[: self._room] if len(view) > self._room else view
            self._part.update(piece)
            self._room -= len(piece)
            self._open = True
            view = view[len(piece) :]
            if not self._room:
                self._close()

    def hexdigest(self) -> str:
        if self._open or not self._count:
            self._close()
        return f"{self._whole.digest().hex()}-{self._count}"

    def _close(self) -> None:
        self._whole.update(self._part.digest())
        self._part = _new_digest(self._algorithm)
        self._room = next(self._sizes, _ENDLESS)
        self._open = False
        self._count += 1


def likely_part_sizes(size: int, count: int) -> list[int]:
    """Return part sizes that cut `size` bytes into `count` parts, the most common first.

    >>> likely_part_sizes(100 << 20, 13)
    [8388608, 8000000]
    """
    if count == 1:
        return [max(size, 1)]
    fitting = [each for each in _USUAL_PARTS if each >= _SMALLEST_PART and -(-size // each) == count]
    # Few parts fit many sizes; an uploader may have used any whole number of MiB.
    smallest = max(_SMALLEST_PART, -(-size // count))
    fitting.append(-(-smallest // _MIB) * _MIB)
    unique = dict.fromkeys(each for each in fitting if -(-size // each) == count)
    return list(unique)[:_MOST_GUESSES]
