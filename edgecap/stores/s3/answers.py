"""Metadata of an object, from S3's answers."""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from datetime import UTC
from typing import Any

from edgecap.errors import StoreError
from edgecap.stores.base import ObjectInfo

_ETAG = re.compile(r"[0-9a-f]{32}(-[1-9][0-9]*)?")
CHECKSUMS = {  # our names, and the members of boto3's answers
    name.lower(): f"Checksum{name}"
    for name in (
        *("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "MD5"),
        *("XXHASH3", "XXHASH64", "XXHASH128"),
    )
}


def content_range(value: str, where: str) -> tuple[int, int, int]:
    """First byte, last byte and size of the whole object, from a `Content-Range` header.

    Raises:
        StoreError: the header is missing, so the server sent another range than the requested one.
    """
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", value)
    if not match:
        raise StoreError("the server ignores ranges", where=where, hint="use another S3 server")
    begin, end, size = match.groups()
    return int(begin), int(end), int(size)


def info_of(key: str, answer: Any, size: int) -> ObjectInfo:
    """The metadata in an answer to GET or HEAD; `size` is that of the whole object."""
    etag = answer.get("ETag", "").strip('"')
    modified = answer["LastModified"].astimezone(UTC)
    return ObjectInfo(key, size, modified, etag, tuple(stated_in(etag, answer).items()))


def stated_in(etag: str, answer: Any) -> dict[str, str]:
    """The checksums in an answer, named as in `ObjectInfo.checksums`."""
    stated = {}
    for name, member in CHECKSUMS.items():
        value, dash, count = str(answer.get(member) or "").partition("-")
        composite = bool(dash) or answer.get("ChecksumType") == "COMPOSITE"
        if not value or (composite and not count.isdigit()):
            continue
        with suppress(ValueError):
            digest = base64.b64decode(value, validate=True).hex()
            stated[f"{name}-of-parts" if composite else name] = digest + dash + count
    # The ETag is an MD5, unless the server encrypts with a key of KMS or of the customer.
    encrypted = answer.get("ServerSideEncryption") not in (None, "AES256") or answer.get(
        "SSECustomerAlgorithm"
    )
    if _ETAG.fullmatch(etag) and not encrypted:
        stated.setdefault("md5-of-parts" if "-" in etag else "md5", etag)
    return stated
