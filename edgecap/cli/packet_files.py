"""The packets of an entry as a file: which file holds them, and how it comes out of the archive verified."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from edgecap.archive.entries import Entry
from edgecap.archive.manifest import RAW_ROLE, FileRecord
from edgecap.cli.progress import ByteBar
from edgecap.cli.target_file import written
from edgecap.errors import Damaged, EntryMissing, InvalidRequest
from edgecap.files.hashing import sha256_of
from edgecap.stores import Store
from edgecap.stores.reading import read_object

MERGED_ROLE = "merged"


def file_of_packets(entry: Entry, part: str | None) -> FileRecord:
    """The file that is asked for: all packets in one, unless a part is named.

    Raises:
        InvalidRequest: the entry has no file of this name.
        EntryMissing: it has no packets that match, or they are in several files that could not be merged.
    """
    files = entry.manifest.files
    names = ", ".join(file.name for file in files) or "none"
    if part is not None:
        found = [file for file in files if file.name == part]
        if not found:
            raise InvalidRequest(f"the entry has no file {part!r}", field="--part", hint=f"it has {names}")
        return found[0]
    found = files_of_packets(entry)
    if len(found) > 1:
        raise EntryMissing(
            "the entry has no file with all packets: its files could not be merged",
            where=entry.path,
            hint=f"name one with --part: {names}",
        )
    return found[0]


def files_of_packets(entry: Entry) -> list[FileRecord]:
    """All packets of an entry: the merged file, or the fetched ones if there is none.

    Raises:
        EntryMissing: it has no packets that match.
    """
    raw = [file for file in entry.manifest.files if file.role == RAW_ROLE]
    if not entry.manifest.kept_packets:
        says = f"`edgecap show {entry.manifest.entry_id[:8]}` says why"
        raise EntryMissing(
            "no packet of the capture matches its filter"
            if entry.manifest.totals.packets
            else "the capture has no packets",
            where=entry.path,
            hint=f"{says}; --part brings a file as it was fetched" if raw else says,
        )
    return [file for file in entry.manifest.files if file.role == MERGED_ROLE] or raw


def write_file(store: Store, entry: Entry, file: FileRecord, path: Path, *, force: bool) -> None:
    """Write a file of an entry to `path`: whole and verified, or not at all.

    Args:
        store: the archive.
        entry: where the file is.
        file: its record.
        path: the file to make.
        force: replace a file that exists.

    Raises:
        InvalidRequest: the file exists and may not be replaced.
        Damaged: the bytes are not those that the manifest promises.
        StoreError: the store does not give them, or the disk does not take them.
    """
    with written(path, force=force, field="FILE", other="FILE") as beside, beside.open("xb") as out:
        copy_file(store, entry, file, out.write)
        out.flush()
        os.fsync(out.fileno())


def copy_file(store: Store, entry: Entry, file: FileRecord, write: Callable[[bytes], object]) -> None:
    """Write the bytes of a file as they come.

    Raises:
        Damaged: they are not those that the manifest promises.
        StoreError: the store does not give them.
    """
    key = entry.prefix + file.name
    with ByteBar(f"get {file.name}", lambda: file.size) as bar:

        def use(chunk: bytes) -> None:
            write(chunk)
            bar.advance(chunk)

        sha256 = sha256_of(read_object(store, key), use)
    if sha256 != file.sha256:
        raise Damaged(
            f"its SHA-256 is {sha256}, and the manifest states {file.sha256}",
            where=f"{entry.path}{file.name}",
            hint="try again; if it stays so, restore the file from a copy",
        )
