"""`edgecap get INCIDENT`: the packets of all captures of an incident, one file for each capture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecap.archive.entries import Entry, read_entry
from edgecap.archive.layout import EVERYWHERE, safe_name
from edgecap.archive.manifest import FileRecord
from edgecap.cli.output import print_json, printable, say
from edgecap.cli.packet_files import files_of_packets, write_file
from edgecap.cli.target_file import require_free
from edgecap.errors import EdgecapError, EntryMissing, InvalidRequest
from edgecap.files.durable import explained
from edgecap.incidents.overview import Overview, Overviews
from edgecap.incidents.record import Part
from edgecap.stores import Store

_PHASES = ("before", "during", "after")


@dataclass(frozen=True, slots=True)
class _Found:
    """A file with packets of one capture, and where it is written to."""

    part: Part
    entry: Entry
    file: FileRecord
    path: Path


def bring_incident(
    store: Store, known: Overviews, incident: Overview, target: str | None, *, force: bool, json: bool
) -> None:
    """Write the packets of each capture to a file whose name says the phase and the data centre.

    If a capture's files could not be merged, each comes as it was fetched. A capture without packets is named
    on stderr, with the reason. A file that cannot be brought stops no other.

    Args:
        store: the archive.
        known: its incidents.
        incident: the incident.
        target: the folder; None for one here that is named for the incident.
        force: replace files that exist.
        json: print one JSON document.

    Raises:
        InvalidRequest: the folder is a file, or a file exists.
        EntryMissing: no capture of the incident has packets.
        Damaged: a file's bytes are not those that its manifest promises; after all other files.
        StoreError: a file cannot be read or written; after all other files.
    """
    folder = Path(target or f"edgecap-{safe_name(incident.id)}")
    found, without = _survey(store, known, incident, folder)
    if not found:
        short = incident.id[:8]
        raise EntryMissing(
            f"no capture of incident {short} has packets", hint=f"`edgecap incident show {short}` says why"
        )
    _make(folder)
    if not force:
        for each in found:
            require_free(each.path, field="FILE", other="another folder")
    failure = _write(store, found, without, force=force, json=json)
    if json:
        print_json(_as_json(incident, folder, found, without))
    for name, reason in without:
        say(printable(f"Not brought: {name}: {reason}"))
    if failure:
        raise failure


def _write(
    store: Store, found: list[_Found], without: list[tuple[str, str]], *, force: bool, json: bool
) -> EdgecapError | None:
    """Write the files. One that cannot be brought moves from `found` to `without`.

    Returns:
        The first error, or None.
    """
    failure: EdgecapError | None = None
    for each in tuple(found):
        try:
            write_file(store, each.entry, each.file, each.path, force=force)
        except EdgecapError as error:
            failure = failure or error
            found.remove(each)
            without.append((each.path.stem, str(error)))
        else:
            if not json:
                print(each.path)  # noqa: T201 - stdout has the files only, for scripts
    return failure


def _make(folder: Path) -> None:
    """Make the folder if it does not exist."""
    if folder.exists() and not folder.is_dir():
        raise InvalidRequest(f"{folder} is a file", field="FILE", hint="an incident's files need a folder")
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _survey(
    store: Store, known: Overviews, incident: Overview, folder: Path
) -> tuple[list[_Found], list[tuple[str, str]]]:
    """The captures with a file of their packets; and the names of the others, with the reasons."""
    found: list[_Found] = []
    without: list[tuple[str, str]] = []
    for part in sorted(known.parts(incident), key=_place):
        name = f"{part.phase}-{part.number}"
        if not part.entry:
            without.append((f"{name} ({part.request})", f"{part.state}: {part.reason}"))
            continue
        try:
            entry = read_entry(store, part.entry)
            files = files_of_packets(entry)
        except EntryMissing as error:
            without.append((f"{name} ({part.request})", error.what))
            continue
        except EdgecapError as error:
            without.append((f"{name} ({part.request})", str(error)))
            continue
        where = safe_name(entry.manifest.colo or EVERYWHERE)
        for file in files:
            server = f"-{Path(file.name).stem}" if len(files) > 1 else ""
            path = folder / f"{name}-{where}{server}{Path(file.name).suffix}"
            found.append(_Found(part, entry, file, path))
    return found, without


def _place(part: Part) -> tuple[int, int]:
    return _PHASES.index(part.phase), part.number


def _as_json(
    incident: Overview, folder: Path, brought: list[_Found], without: list[tuple[str, str]]
) -> dict[str, Any]:
    return {
        "id": incident.id,
        "folder": str(folder),
        "files": [
            {
                "file": str(each.path),
                "phase": each.part.phase,
                "number": each.part.number,
                "colo": each.entry.manifest.colo or None,
                "id": each.entry.manifest.entry_id,
                "part": each.file.name,
                "bytes": each.file.size,
                "sha256": each.file.sha256,
                "packets": each.file.packets,
            }
            for each in brought
        ],
        "not_brought": [{"capture": name, "reason": reason} for name, reason in without],
    }
