"""`edgecap get`: bring the packets of an entry or an incident out of the archive, verified."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from edgecap.archive.entries import Entry
from edgecap.archive.layout import safe_name
from edgecap.archive.manifest import RAW_ROLE, FileRecord
from edgecap.cli.finding import find_either
from edgecap.cli.get_incident import bring_incident
from edgecap.cli.incident import overviews
from edgecap.cli.options import Archive, Json
from edgecap.cli.output import print_json
from edgecap.cli.packet_files import MERGED_ROLE, copy_file, file_of_packets, write_file
from edgecap.errors import InvalidRequest
from edgecap.incidents.overview import Overview
from edgecap.settings import DEFAULT, load_settings
from edgecap.stores import open_store

STDOUT = "-"


def get(
    wanted: Annotated[str, Parameter(name="ID")],
    target: Annotated[str | None, Parameter(name="FILE", allow_leading_hyphen=True)] = None,
    /,
    *,
    part: Annotated[str | None, Parameter(name="--part")] = None,
    samples: Annotated[bool, Parameter(show_default=False)] = False,
    force: bool = False,
    archive: Archive = DEFAULT,
    json: Json = False,
) -> None:
    """Bring the packets of an entry, or of all captures of an incident, out of the archive.

    Args:
        wanted: The id of a capture or an incident, or its first characters; or an entry's path.
        target: The new file, or a folder for it; - for stdout. Default: `edgecap-ID.pcapng` in this folder.
            For an incident a folder, which is made if it does not exist (default: `edgecap-ID`); or a
            NAME.pcapng for all packets in one file; or a NAME.zip with packets, reports and SHA-256 sums.
        part: Another file of the entry, as `edgecap show` names it, such as raw/ord02-s1.pcap.
        samples: Of an incident, leave out the full captures, which can be large. The README.txt of a zip
            names them.
        force: Replace existing files.
        archive: Name of the archive in the settings.
        json: Print one JSON document with each file, its size and its SHA-256.
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
    settings = load_settings()
    store = open_store(settings.archive(archive))
    with overviews(archive) as known:
        found = find_either(store, known, wanted)
        if isinstance(found, Overview):
            if part is not None or target == STDOUT:
                raise InvalidRequest(
                    f"{wanted!r} is an incident, whose packets are several files",
                    field="--part" if part is not None else "FILE",
                    hint="give a folder, a NAME.pcapng or a NAME.zip, or the id of one of its captures",
                )
            url = settings.receiver.report_url
            bring_incident(
                store, known, found, target, report_url=url, samples=samples, force=force, json=json
            )
            return
    if samples:
        raise InvalidRequest(
            f"{wanted!r} is one capture",
            field="--samples",
            hint="give the id of an incident, or no --samples",
        )
    entry, file = found, file_of_packets(found, part)
    if target == STDOUT:
        copy_file(store, entry, file, sys.stdout.buffer.write)
        sys.stdout.flush()
        return
    path = _path(entry, file, target)
    write_file(store, entry, file, path, force=force)
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


def _path(entry: Entry, file: FileRecord, target: str | None) -> Path:
    name = Path(file.name)
    stem = f"edgecap-{safe_name(entry.manifest.entry_id)}"
    usual = f"{stem}{name.suffix}" if file.role in (MERGED_ROLE, RAW_ROLE) and name.parent.name == "" else ""
    chosen = usual or f"{stem}-{name.name}"
    if target is None:
        return Path(chosen)
    path = Path(target)
    return path / chosen if path.is_dir() else path
