"""Whether a request comes from who it says: each way that the products offer, compared in constant time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping

_SCHEME = re.compile(r"(?:hmac-)?(?:sha-?256|v\d)\s*[=:]\s*", re.IGNORECASE)  # before a signature


def header(headers: Mapping[str, str], name: str) -> str:
    """The value of a header, whatever the case of its name; empty if it is missing."""
    wanted = name.lower()
    return next((value.strip() for key, value in headers.items() if key.lower() == wanted), "")


def same(given: str, secret: str) -> bool:
    """Both are equal, and `secret` is not empty. How long it takes tells nothing about where they differ."""
    equal = hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode("utf-8", "replace"))
    return equal and bool(secret)


def shared_secret(headers: Mapping[str, str], secret: str) -> bool:
    """`Authorization: Bearer <secret>`, or `Basic` with the secret as password and any user name."""
    scheme, _, credentials = header(headers, "authorization").partition(" ")
    if scheme.lower() == "basic":
        return same(_password(credentials.strip()), secret)
    return same(credentials.strip() if scheme.lower() == "bearer" else "", secret)


def bearer(secret: str) -> dict[str, str]:
    """The header with which `shared_secret` lets somebody in."""
    return {"Authorization": f"Bearer {secret}"}


def hmac_sha256(message: bytes, secret: str) -> str:
    """The HMAC-SHA256 of `message` in lower-case hexadecimal, as products write it into headers."""
    return hmac.new(secret.encode("utf-8", "replace"), message, hashlib.sha256).hexdigest()


def signature(headers: Mapping[str, str], name: str, body: bytes, secret: str) -> bool:
    """The header `name` has an HMAC-SHA256 of `body`: hexadecimal or Base64, such as `sha256=<hex>`.

    Several may be there, parted by commas, of which one must fit; all of them are compared.
    """
    digest = hmac.new(secret.encode("utf-8", "replace"), body, hashlib.sha256).digest()
    given = [_SCHEME.sub("", part.strip()) for part in header(headers, name).split(",")]
    fits = [
        same(part.lower(), digest.hex()) | same(part, base64.b64encode(digest).decode()) for part in given
    ]
    return bool(secret) and any(fits)


def _password(credentials: str) -> str:
    try:
        plain = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return plain.partition(":")[2]
