"""Making an entry: its files first, its manifest last. A crash in between leaves files, but no entry."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from edgecap.archive.entries import Entry, read_entry
from edgecap.archive.layout import MANIFEST
from edgecap.archive.manifest import FileRecord, Manifest
from edgecap.archive.same_request import note
from edgecap.archive.text import to_json
from edgecap.errors import Damaged, InvalidRequest, ObjectExists, ObjectMissing
from edgecap.files.hashing import sha256_of
from edgecap.stores.base import Store
from edgecap.stores.reading import read_object

_DIGEST = 12  # hex digits of a hash in the name of a file whose first name is taken


def put_file(
    store: Store, prefix: str, name: str, source: bytes | Path, *, size: int, sha256: str, move: bool = False
) -> str:
    """Put a file of an entry in its place, create-only, and return the name that it got.

    Doing it again after a crash leaves the file that is there alone. If an attempt that ended before its
    manifest left other bytes there, they stay, and this file gets another name.

    Args:
        store: the archive.
        prefix: the entry's.
        name: the key wanted below it, such as `raw/ord02-s1.pcap`.
        source: the bytes, or a local file.
        size: bytes of `source`.
        sha256: hex digest of `source`.
        move: the source file may be consumed; it is gone afterwards in any case.

    Raises:
        StoreError: it cannot be written. A file gets its name only when it is complete.
    """
    head, dot, suffix = name.rpartition(".")
    other = f"{head}-{sha256[:_DIGEST]}{dot}{suffix}" if head else f"{name}-{sha256[:_DIGEST]}"
    for choice in (name, other):
        try:
            store.put(prefix + choice, source, move=move)
        except ObjectExists:
            if _same(store, prefix + choice, size, sha256):
                if move and isinstance(source, Path):
                    source.unlink(missing_ok=True)
                return choice
        else:
            return choice
    raise ObjectExists(
        "other bytes have this name", where=f"{store.uri}/{prefix}{other}", hint="move them away"
    )


def commit(store: Store, manifest: Manifest) -> Entry:
    """Make the entry exist: check that every file is there, then write the manifest, create-only.

    Committing the same files again returns the entry that exists.

    Raises:
        InvalidRequest: a file is listed under a name that leads out of the entry.
        ObjectMissing: a listed file is not there.
        Damaged: a listed file is there with another size.
        ObjectExists: the capture has an entry already, with other packets.
        StoreError: the manifest cannot be written.
    """
    _check_files(store, manifest)
    if manifest.times.committed is None:
        times = manifest.times.model_copy(update={"committed": datetime.now(UTC)})
        manifest = manifest.model_copy(update={"times": times})
    note(store, manifest)
    try:
        store.put(manifest.prefix + MANIFEST, to_json(manifest))
    except ObjectExists:
        entry = read_entry(store, manifest.prefix)
        if _raw(entry.manifest) != _raw(manifest):
            raise ObjectExists(
                f"capture {manifest.entry_id} has an entry already, with other packets",
                where=entry.where,
                hint="compare the two; the one that exists was not changed",
            ) from None
        return entry
    # As stored, not as given: a reader finds it cleaned of secrets.
    return read_entry(store, manifest.prefix)


def _check_files(store: Store, manifest: Manifest) -> None:
    present = {info.key: info.size for info in store.list(manifest.prefix)}
    for file in manifest.files:
        if any(part in ("", ".", "..") for part in file.name.split("/")):
            raise InvalidRequest("a file's name leads out of the entry", field="name", where=ascii(file.name))
        where = f"{store.uri}/{manifest.prefix}{file.name}"
        size = present.get(manifest.prefix + file.name)
        if size is None:
            raise ObjectMissing("a file of the entry is not there", where=where, hint="fetch it again")
        if size != file.size:
            raise Damaged(
                f"a file of the entry has {size} bytes instead of {file.size}",
                where=where,
                hint="fetch it again",
            )


def _raw(manifest: Manifest) -> list[tuple[str, str]]:
    return sorted((file.source_key, file.sha256) for file in manifest.files if _is_raw(file))


def _is_raw(file: FileRecord) -> bool:
    return file.role == "raw"


def _same(store: Store, key: str, size: int, sha256: str) -> bool:
    info = store.stat(key)
    if info.size != size:
        return False
    if stated := dict(info.checksums).get("sha256"):
        return stated == sha256
    return sha256_of(read_object(store, key)) == sha256
