"""`edgecap report`: one entry or incident as a page that any browser shows, with nothing else needed."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from edgecap.archive.entries import Entry, find_entry
from edgecap.archive.layout import safe_name
from edgecap.archive.summaries import find_summary
from edgecap.cli.incident import overviews
from edgecap.cli.options import Archive, Json
from edgecap.cli.output import print_json, say
from edgecap.errors import EntryMissing, InvalidRequest
from edgecap.files.durable import explained, rename_new
from edgecap.incidents.overview import Overview, Overviews
from edgecap.report.entry import entry_html
from edgecap.report.incident import incident_html
from edgecap.report.links import links_to
from edgecap.report.loading import pictured
from edgecap.settings import DEFAULT, load_settings
from edgecap.stores import Store, open_store

STDOUT = "-"


def report(
    report_id: Annotated[str, Parameter(name="ID")],
    /,
    *,
    output: Annotated[str | None, Parameter(name=("--output", "-o"), allow_leading_hyphen=True)] = None,
    force: bool = False,
    archive: Archive = DEFAULT,
    json: Json = False,
) -> None:
    """Write the report of an entry or an incident: one HTML file, which needs nothing else.

    Args:
        report_id: The id of a capture or of an incident, or the beginning of one; or an entry's path.
        output: The file to write, `edgecap-ID.html` here if not given; - writes to stdout.
        force: Replace an existing file.
        archive: Name of the archive in the settings.
        json: Print one JSON document: the file and what it is of.
    """
    if json and output == STDOUT:
        raise InvalidRequest(
            "--json and the page cannot both go to stdout",
            field="--output",
            hint="give a file to one of them",
        )
    if output and output != STDOUT and output.startswith("-"):
        raise InvalidRequest(f"{output!r} is no file but an option", field="--output", hint="give a file")
    settings = load_settings()
    store = open_store(settings.archive(archive))
    links = links_to(settings.receiver.report_url)
    with overviews(archive) as known:
        found = _find(store, known, report_id)
        if isinstance(found, Entry):
            kind, name = "capture", found.manifest.entry_id
            summary, remark = find_summary(store, found)
            page = entry_html(found, summary, links=links, remark=remark)
        else:
            kind, name, remark = "incident", found.id, ""
            page = incident_html(found, list(pictured(store, known, found)), links=links)
    if output == STDOUT:
        sys.stdout.write(page)
        return
    target = Path(output or f"edgecap-{safe_name(name)}.html")
    _write(target, page, force=force)
    if remark:
        say(remark)
    if json:
        print_json({"file": str(target), "kind": kind, "id": name})
    else:
        print(target)  # noqa: T201 - the one line that a script wants


def _find(store: Store, known: Overviews, wanted: str) -> Entry | Overview:
    """What has this id, or begins so.

    Raises:
        EntryMissing: nothing does, or more than one.
        Damaged: its record cannot be read.
        StoreError: the archive cannot be read.
    """
    beginning = wanted.strip().lower()
    incidents = known.ids(beginning) if beginning.isalnum() else []
    if incidents == [beginning]:
        return known.find(beginning)  # no need to look for a capture of that id in the whole archive
    try:
        entry = find_entry(store, wanted)
    except EntryMissing:
        if incidents:
            return known.find(wanted)
        if not beginning.isalnum():
            raise
        raise EntryMissing(
            f"there is no entry and no incident {wanted!r}, or several entries begin so",
            where=store.uri,
            hint="`edgecap list` and `edgecap incident list` show those there are",
        ) from None
    if incidents and entry.manifest.entry_id != wanted.strip():
        raise EntryMissing(
            f"a capture, {entry.manifest.entry_id}, and an incident, {incidents[0]}, begin with {wanted!r}",
            hint="give more of the id",
        )
    return entry


def _write(target: Path, page: str, *, force: bool) -> None:
    """Put the page into a file, whole or not at all.

    Raises:
        InvalidRequest: there is a file already, and it is not to be replaced; or no folder for it.
        StoreError: it cannot be written.
    """
    if target.is_dir():
        raise InvalidRequest(f"{target} is a folder", field="--output", hint="give a file in it")
    if not target.parent.is_dir():
        raise InvalidRequest(f"there is no folder {target.parent}", field="--output", hint="make it first")
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    with explained(target):
        try:
            beside.write_text(page, encoding="utf-8")
            if force:
                beside.replace(target)
            else:
                rename_new(beside, target)
        except FileExistsError:
            raise InvalidRequest(
                f"{target} is there already",
                field="--output",
                hint="--force replaces it, -o names another file",
            ) from None
        finally:
            beside.unlink(missing_ok=True)
