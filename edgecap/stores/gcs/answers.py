"""Metadata of an object, from GCS's answers."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import google_crc32c

from edgecap.errors import StoreError, StoreUnreachable
from edgecap.stores.base import CHUNK, ObjectInfo


def crc_of(file: Any) -> int:
    """The CRC32C of a file, from its current position to the end."""
    crc = 0
    while chunk := file.read(CHUNK):
        crc = google_crc32c.extend(crc, chunk)
    return crc


def _hex(value: str | None) -> str:
    return base64.b64decode(value).hex() if value else ""


def _checksums(crc32c: str | None, md5: str | None) -> tuple[tuple[str, str], ...]:
    both = (("crc32c", _hex(crc32c)), ("md5", _hex(md5)))
    return tuple((name, value) for name, value in both if value)


def info_of(key: str, blob: Any) -> ObjectInfo:
    """The metadata of the library's object, after it was loaded or uploaded."""
    modified = (blob.updated or datetime.now(UTC)).astimezone(UTC)
    return ObjectInfo(
        key, blob.size or 0, modified, str(blob.generation or ""), _checksums(blob.crc32c, blob.md5_hash)
    )


def answered(key: str, headers: Any, where: str, *, ranged: bool, start: int) -> ObjectInfo:
    """The metadata in the headers of a download; `ranged` if it was to begin at `start`.

    Raises:
        StoreError: the server sent another range than the requested one.
        StoreUnreachable: the answer comes from a captive portal or a proxy, not from Google.
    """
    generation = headers.get("x-goog-generation", "")
    if not generation:
        raise StoreUnreachable(
            "the answer is not Google's: it has no x-goog-generation",
            where=where,
            hint="check endpoint_url, and whether this network wants a sign-in first",
        )
    hashes = dict(
        part.strip().split("=", 1) for part in headers.get("x-goog-hash", "").split(",") if "=" in part
    )
    size = int(headers.get("content-length") or headers.get("x-goog-stored-content-length") or 0)
    if ranged:
        unit, _, rest = headers.get("content-range", "").partition(" ")
        span, _, whole = rest.partition("/")
        if unit != "bytes" or span.partition("-")[0] != str(start) or not whole.isdigit():
            raise StoreError("the server ignores ranges", where=where, hint="use another server")
        size = int(whole)
    date = headers.get("last-modified")
    modified = parsedate_to_datetime(date).astimezone(UTC) if date else datetime.now(UTC)
    return ObjectInfo(
        key,
        size,
        modified,
        generation,
        _checksums(hashes.get("crc32c"), hashes.get("md5")),
    )
