"""SHA-256 of a stream: each file and object is read once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path


def sha256_of(chunks: Iterable[bytes], also: Callable[[bytes], None] | None = None) -> str:
    """The hex digest of all chunks together.

    Args:
        chunks: the bytes, for example from `read_object`.
        also: called with each chunk, to use the same bytes without reading them again.
    """
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        if also is not None:
            also(chunk)
    return digest.hexdigest()


def sha256_of_file(path: Path) -> str:
    """The hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
