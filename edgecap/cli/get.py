"""`edgecap get`: bring an entry's packets out of the archive, verified."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from edgecap.archive.entries import Entry, find_entry
from edgecap.archive.layout import safe_name
from edgecap.archive.manifest import RAW_ROLE, FileRecord
from edgecap.cli.options import Archive, Json
from edgecap.cli.output import print_json
from edgecap.cli.progress import ByteBar
from edgecap.cli.target_file import written
from edgecap.errors import Damaged, EntryMissing, InvalidRequest
from edgecap.files.hashing import sha256_of
from edgecap.settings import DEFAULT, load_settings
from edgecap.stores import Store, open_store
from edgecap.stores.reading import read_object

STDOUT = "-"
_MERGED = "merged"


def get(
    entry_id: Annotated[str, Parameter(name="ID")],
    target: Annotated[str | None, Parameter(name="FILE", allow_leading_hyphen=True)] = None,
    /,
    *,
    part: Annotated[str | None, Parameter(name="--part")] = None,
    force: bool = False,
    archive: Archive = DEFAULT,
    json: Json = False,
) -> None:
    """Bring an entry's packets out of the archive.

    Args:
        entry_id: The capture's id, its first characters, or the entry's path.
        target: The new file, or a folder for it; - for stdout. Default: `edgecap-ID.pcapng` in this folder.
        part: Another file of the entry, as `edgecap show` names it, such as raw/ord02-s1.pcap.
        force: Replace an existing file.
        archive: Name of the archive in the settings.
        json: Print one JSON document with the file, its size and its SHA-256.
    """
    if target and target != STDOUT and target.startswith("-"):
        raise InvalidRequest(f"{target!r} is an option, not a file", field="FILE", hint="give a file")
    if target == STDOUT and json:
        raise InvalidRequest(
            "--json and the packets cannot both go to stdout", field="FILE", hint="give a file"
        )
    if target == STDOUT and sys.stdout.isatty():
        raise InvalidRequest(
            "packets are not for a terminal", field="FILE", hint="give a file, or pipe them into a program"
        )
    store = open_store(load_settings().archive(archive))
    entry = find_entry(store, entry_id)
    file = _file(entry, part)
    if target == STDOUT:
        _copy(store, entry, file, sys.stdout.buffer.write)
        sys.stdout.flush()
        return
    path = _path(entry, file, target)
    with written(path, force=force, field="FILE", other="FILE") as beside, beside.open("xb") as out:
        _copy(store, entry, file, out.write)
        out.flush()
        os.fsync(out.fileno())
    if json:
        print_json(
            {
                "file": str(path),
                "id": entry.manifest.entry_id,
                "part": file.name,
                "bytes": file.size,
                "sha256": file.sha256,
                "packets": file.packets,
            }
        )
    else:
        print(path)  # noqa: T201 - the only line on stdout, for scripts


def _file(entry: Entry, part: str | None) -> FileRecord:
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
    raw = [file for file in files if file.role == RAW_ROLE]
    if not entry.manifest.kept_packets:
        says = f"`edgecap show {entry.manifest.entry_id[:8]}` says why"
        raise EntryMissing(
            "no packet of the capture matches its filter"
            if entry.manifest.totals.packets
            else "the capture has no packets",
            where=entry.path,
            hint=f"{says}; --part brings what was fetched: {names}" if raw else says,
        )
    found = [file for file in files if file.role == _MERGED] or (raw if len(raw) == 1 else [])
    if not found:
        raise EntryMissing(
            "the entry has no file with all packets: its files could not be merged",
            where=entry.path,
            hint=f"name one with --part: {names}",
        )
    return found[0]


def _path(entry: Entry, file: FileRecord, target: str | None) -> Path:
    name = Path(file.name)
    stem = f"edgecap-{safe_name(entry.manifest.entry_id)}"
    usual = f"{stem}{name.suffix}" if file.role in (_MERGED, RAW_ROLE) and name.parent.name == "" else ""
    chosen = usual or f"{stem}-{name.name}"
    if target is None:
        return Path(chosen)
    path = Path(target)
    return path / chosen if path.is_dir() else path


def _copy(store: Store, entry: Entry, file: FileRecord, write: Callable[[bytes], object]) -> None:
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
