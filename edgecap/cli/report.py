"""`edgecap report`: write an entry or incident as one self-contained HTML page."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from edgecap.archive.entries import Entry
from edgecap.archive.summaries import find_summary
from edgecap.cli.finding import find_either
from edgecap.cli.incident import overviews
from edgecap.cli.options import Archive, Json
from edgecap.cli.output import print_json, say
from edgecap.cli.target_file import make_folder, require_free, written
from edgecap.errors import InvalidRequest
from edgecap.incidents.overview import Overviews
from edgecap.report.entry import entry_html
from edgecap.report.file_names import folder_name, report_name
from edgecap.report.incident_pages import incident_pages
from edgecap.report.links import links_to
from edgecap.settings import DEFAULT, Settings, load_settings
from edgecap.stores import open_store
from edgecap.units import plural

STDOUT = "-"


def report(
    report_id: Annotated[str, Parameter(name="ID")],
    /,
    *,
    output: Annotated[str | None, Parameter(name=("--output", "-o"), allow_leading_hyphen=True)] = None,
    captures: bool = False,
    force: bool = False,
    archive: Archive = DEFAULT,
    json: Json = False,
) -> None:
    """Write the report of an entry or an incident as one self-contained HTML file.

    Args:
        report_id: The id of a capture or an incident, or its first characters; or an entry's path.
        output: The file to write; - writes to stdout. A name that ends with / is a folder, which is made if
            it does not exist; so is every other name with --captures, unless it ends with .html.
            Default: `edgecap-ID.html` here; with --captures the folder `edgecap-ID`.
        captures: Also write the reports of an incident's captures, such as during-1-ORD.html, beside its own,
            which links to them.
        force: Replace an existing file.
        archive: Name of the archive in the settings.
        json: Print one JSON document with the files and the entry or incident.
    """
    if captures and output == STDOUT:
        raise InvalidRequest("stdout takes one report", field="--captures", hint="write them to files")
    if json and output == STDOUT:
        raise InvalidRequest(
            "--json and the page cannot both go to stdout",
            field="--output",
            hint="write one of them to a file",
        )
    if output and output != STDOUT and output.startswith("-"):
        raise InvalidRequest(f"{output!r} is an option, not a file", field="--output", hint="give a file")
    with overviews(archive) as known:
        made = _make(load_settings(), archive, known, report_id, output, captures=captures)
    if output == STDOUT:
        sys.stdout.write(made.page)
        return
    files = {**made.beside, made.file: made.page}  # the incident's last: it links to the others
    if not force:
        for file in files:
            require_free(file, field="--output", other="-o")
    if made.folder:
        make_folder(made.folder, field="--output", hint="give another -o")
    for file, page in files.items():
        with written(file, force=force, field="--output", other="-o") as beside:
            beside.write_text(page, encoding="utf-8")
    _tell(made, json=json, captures=captures)


def _tell(made: _Made, *, json: bool, captures: bool) -> None:
    """Say which files were written."""
    if made.remark:
        say(made.remark)
    if made.beside:
        say(f"Beside it: {plural(len(made.beside), 'report')} of its captures, to which it links.")
    if json:
        others = {"captures": list(map(str, made.beside))} if captures else {}
        print_json({"file": str(made.file), "kind": made.kind, "id": made.name, **others})
    else:
        print(made.file)  # noqa: T201 - the only line on stdout, for scripts


@dataclass(frozen=True, slots=True)
class _Made:
    """A report, and those of an incident's captures with their files."""

    kind: str
    name: str
    folder: Path | None
    file: Path
    page: str
    remark: str = ""
    beside: Mapping[Path, str] = field(default_factory=dict)


def _make(
    settings: Settings, archive: str, known: Overviews, wanted: str, output: str | None, *, captures: bool
) -> _Made:
    store, base = open_store(settings.archive(archive)), settings.receiver.report_url
    found = find_either(store, known, wanted)
    if isinstance(found, Entry):
        if captures:
            raise InvalidRequest(
                f"{wanted!r} is a capture", field="--captures", hint="give the id of an incident"
            )
        name = found.manifest.entry_id
        summary, remark = find_summary(store, found)
        page = entry_html(found, summary, links=links_to(base), remark=remark)
        return _Made("capture", name, *_target(name, output), page, remark)
    folder, target = _target(found.id, output, several=captures)
    pages = incident_pages(store, known, found, name=target.name, base=base, captures=captures)
    beside = {target.with_name(name): page for name, page in pages.captures.items()}
    return _Made("incident", found.id, folder, target, pages.own, beside=beside)


def _target(report_id: str, output: str | None, *, several: bool = False) -> tuple[Path | None, Path]:
    """The folder that is named, if one is, and the file.

    Args:
        report_id: of the capture or incident.
        output: what the person named.
        several: whether there are several files, for which a name without `.html` is a folder.
    """
    if output is None:
        folder = Path(folder_name(report_id)) if several else None
        return folder, (folder or Path()) / report_name(report_id)
    named = Path(output)
    if output.endswith("/") or named.is_dir() or (several and named.suffix.lower() not in (".html", ".htm")):
        return named, named / report_name(report_id)
    return None, named
