"""Whether the bytes that arrived are the bytes that were stored.

No library below checks this for ranged, resumed or multipart reads, so it is done here, once for all stores,
against the best checksum that the store states: the cheapest that finds every flipped byte.
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
_ENDLESS = 1 << 62  # bytes of a part after the last one: what is too much goes there


class VerifiedBy(StrEnum):
    """How the bytes were verified; of what a store states, the first in this order is checked.

    Those of the whole object come first, the cheapest of them before the others; the values are kept in
    manifests. `...-of-parts` is S3's for what was put in parts: the checksum of the parts' checksums.
    """

    SHA256 = "sha256"  # it is taken anyway
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
    TWO_READS = "two-reads"  # no checksum applies, and reading twice gave the same bytes
    ONE_READ = "one-read"  # no checksum applies, and the API gave a simple capture only once
    READS_DIFFER = "reads-differ"  # no checksum applies, and the API gave other bytes each time


_OF_PARTS = "-of-parts"
_UNSTATED = (VerifiedBy.GZIP, VerifiedBy.TWO_READS, VerifiedBy.ONE_READ, VerifiedBy.READS_DIFFER)
_STATED = tuple(each for each in VerifiedBy if each not in _UNSTATED)
_COSTLY = ("md5", "sha1", "sha256", "sha512")  # take longer than reading does


class _Digest(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    """A CRC under the interface of hashlib; `extend` continues from an earlier value."""

    def __init__(self, extend: Callable[[Any, int], int], width: int) -> None:
        self._extend = extend
        self._width = width
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._extend(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._width, "big")


class _XxHash:
    """One of awscrt's XXHash under the interface of hashlib."""

    def __init__(self, hasher: Any) -> None:
        self._hasher = hasher

    def update(self, data: bytes | memoryview, /) -> None:
        self._hasher.update(data if isinstance(data, bytes) else bytes(data))  # it takes nothing but bytes

    def digest(self) -> bytes:
        return bytes(self._hasher.finalize())


def _crc32c(data: bytes | memoryview, value: int) -> int:
    # The C code behind it takes nothing but bytes.
    return int(google_crc32c.extend(value, data if isinstance(data, bytes) else bytes(data)))


def _new_digest(algorithm: str) -> _Digest:
    if algorithm == "crc32c":
        return _Crc(_crc32c, 4)
    if algorithm == "crc32":
        return _Crc(zlib.crc32, 4)
    if algorithm.startswith(("crc64", "xxhash")):
        # It takes 40 ms to import, and is there already where boto3 is.
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
    """A store that may know how a multipart object was cut."""

    def part_sizes(self, info: ObjectInfo, *, exact: bool) -> Sequence[int] | None:
        """Bytes of each part in order; None if the store does not tell.

        Args:
            info: the object.
            exact: ask for each part. Otherwise parts that look equal by the first and the last may be taken
                for equal, which costs two requests instead of thousands.
        """
        ...


class Check:
    """Takes an object's bytes in order, and then says if they are right.

    Args:
        store: where they come from; asked for the part sizes of a multipart object.
        info: the object, with the checksums that its store states.
        exact: have the store tell every part's size, since the bytes did not match what was taken for them.
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
        """Whether it takes longer than reading does."""
        return (bool(self._digests) and self._algorithm in _COSTLY) or len(self._digests) > 1

    def update(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._size += len(chunk)
        for each in self._digests:
            each.update(chunk)

    def finish(self, sha256: str) -> VerifiedBy | None:
        """Say how the bytes were verified; None if nothing that is stated decides it.

        Nothing is decided where no checksum is stated, or where it is one of parts whose sizes are not sure
        and it does not match. Then the same bytes must come twice.

        Args:
            sha256: hex digest of the same bytes, which is taken anyway.

        Raises:
            Damaged: they are not what the store states.
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
        """The ways in which the object may have been cut into parts."""
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
            what, where=self._where, hint="try again; if it stays so, the stored object is damaged"
        )


class _Whole:
    def __init__(self, digest: _Digest) -> None:
        self._digest = digest
        self.update = digest.update

    def hexdigest(self) -> str:
        return self._digest.digest().hex()


class _Parts:
    """S3's way for an object put in parts: the digest of the parts' digests, and their number."""

    def __init__(self, algorithm: str, sizes: Iterable[int]) -> None:
        self._algorithm = algorithm
        self._sizes = iter(sizes)
        self._room = next(self._sizes, _ENDLESS)
        self._part = _new_digest(algorithm)
        self._whole = _new_digest(algorithm)
        self._open = False  # whether the part has bytes that are not in the whole yet
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
