"""`edgecap get INCIDENT`: its packets as a folder of files or as one file; or all about it as one zip."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecap.cli.incident_files import PacketFiles, find_packet_files
from edgecap.cli.incident_zip import write_zip
from edgecap.cli.output import print_json, printable, say
from edgecap.cli.target_file import make_folder, require_free, written
from edgecap.errors import EntryMissing, InvalidRequest
from edgecap.files.durable import explained
from edgecap.files.hashing import sha256_of_file
from edgecap.incidents.drops import PACKETS as DROPPED
from edgecap.incidents.overview import Overview, Overviews
from edgecap.packets.merge import MergeSource, merge
from edgecap.report.file_names import folder_name
from edgecap.report.incident_words import incident_verdict
from edgecap.report.loading import pictured
from edgecap.stores import Store
from edgecap.units import size

_MERGED, _ZIP = ".pcapng", ".zip"
_MAILABLE = 10_000_000  # bytes of a file that most mailboxes take
_BASE64 = 4 / 3 * 78 / 76  # with the line breaks of a mail
_OTHER_FILES = (".pcap", ".cap", ".gz", ".tgz", ".tar", ".zst", ".7z", ".html", ".json")


def bring_incident(
    store: Store,
    known: Overviews,
    incident: Overview,
    target: str | None,
    *,
    report_url: str = "",
    samples: bool = False,
    force: bool,
    json: bool,
) -> None:
    """Write the packets of an incident, in the form that the target's name asks for.

    A folder gets a file for each capture, whose name says the phase and the data centre; if a capture's files
    could not be merged, each comes as it was fetched. `.pcapng` is one file of all packets, `.zip` one of all
    files, the reports, and a list of SHA-256. A capture without packets is named on stderr, with the reason.
    A file that cannot be brought stops no other.

    Args:
        store: the archive.
        known: its incidents.
        incident: the incident.
        target: a folder, a `.pcapng` or a `.zip`; None for a folder here that is named for the incident.
        report_url: a receiver's public address, for links in reports; may be empty.
        samples: leave out full captures.
        force: replace files that exist.
        json: print one JSON document.

    Raises:
        InvalidRequest: the folder is a file, a file exists, or its name asks for another form.
        EntryMissing: no capture of the incident has packets.
        Damaged: a file's bytes are not those that its manifest promises; after all other files.
        StoreError: a file cannot be read or written; after all other files.
    """
    path = Path(target or folder_name(incident.id))
    form = "" if path.is_dir() or (target or "").endswith("/") else path.suffix.lower()
    if form in _OTHER_FILES:
        raise InvalidRequest(
            f"an incident cannot become a {form} file",
            field="FILE",
            hint="give a folder, a name.pcapng for one file of all packets, or a name.zip",
        )
    files = find_packet_files(store, known, incident)
    if samples:
        files.only_samples()
    if form == _MERGED:
        _merged(store, known, incident, files, path, force=force, json=json)
    elif form == _ZIP:
        with written(path, force=force, field="FILE", other="FILE") as beside, _work_beside(path) as folder:
            files.write(store, folder)
            files.write_dropped(store, folder)
            write_zip(store, known, incident, files, folder, beside, report_url=report_url)
        _tell(incident, files, path, json=json)
    else:
        _as_folder(store, incident, files, path, force=force, json=json)
    files.conclude()


def _as_folder(
    store: Store, incident: Overview, files: PacketFiles, folder: Path, *, force: bool, json: bool
) -> None:
    make_folder(folder, field="FILE", hint="an incident's files need a folder")
    if not force:
        for each in files.files:
            require_free(folder / each.name, field="FILE", other="another folder")
        if files.dropped:
            require_free(folder / DROPPED, field="FILE", other="another folder")
    paths = files.write(store, folder, force=force)
    beside = files.write_dropped(store, folder, force=force)
    if json:
        print_json(
            {
                "id": incident.id,
                "folder": str(folder),
                "files": [
                    {"file": str(path), **each.as_json()}
                    for path, each in zip(paths, files.files, strict=True)
                ],
                "dropped": str(beside) if beside else None,
                "not_brought": files.missing_as_json(),
            }
        )
    else:
        for path in (*paths, *([beside] if beside else [])):
            print(path)  # noqa: T201 - stdout has the files only, for scripts


def _merged(
    store: Store,
    known: Overviews,
    incident: Overview,
    files: PacketFiles,
    path: Path,
    *,
    force: bool,
    json: bool,
) -> None:
    """Merge all packets into one file, whose interfaces are named for the captures."""
    with written(path, force=force, field="FILE", other="FILE") as beside, _work_beside(path) as folder:
        brought = files.write(store, folder)
        if not brought:
            short = incident.id[:8]
            raise files.failure or EntryMissing(
                f"no capture of incident {short} has packets",
                hint=f"`edgecap get {short} incident.zip` brings the headers of those that the edge dropped",
            )
        sources = [
            MergeSource(file, name=each.stem, note=each.kind)
            for file, each in zip(brought, files.files, strict=True)
        ]
        comment = _comment(
            incident, incident_verdict(incident, list(pictured(store, known, incident))), files
        )
        merged = merge(sources, beside, comment=comment)
    for each in merged.damaged:
        say(printable(f"{each.source.label}: a part could not be read: {each.lost}"))
    _tell(incident, files, path, json=json, packets=merged.packets)


def _comment(incident: Overview, verdict: str, files: PacketFiles) -> str:
    """What the merged file says of itself: it may be all that a colleague gets."""
    lines = [f"edgecap incident {incident.id}", f"Verdict: {verdict}", f"Alert: {incident.alert_in_words}"]
    lines += [
        f"Interface {each.stem}: {each.kind}, capture {each.entry.manifest.entry_id}" for each in files.files
    ]
    lines += [f"Missing: {name}: {reason}" for name, reason in files.missing]
    return "\n".join(lines)


def _tell(
    incident: Overview, files: PacketFiles, path: Path, *, json: bool, packets: int | None = None
) -> None:
    """Say which file was written."""
    if not json:
        print(path, flush=True)  # noqa: T201 - the only line on stdout, for scripts
        tell_size(incident, files, path)
        return
    print_json(
        {
            "id": incident.id,
            "file": str(path),
            "bytes": path.stat().st_size,
            "sha256": sha256_of_file(path),
            **({"packets": packets} if packets is not None else {}),
            "captures": [{"name": each.stem, **each.as_json()} for each in files.files],
            "dropped": DROPPED if files.dropped and path.suffix == _ZIP else None,
            "not_brought": files.missing_as_json(),
        }
    )


def tell_size(incident: Overview, files: PacketFiles, path: Path) -> None:
    """Say how large a file is, and what to do if that is too much for a mail."""
    bytes_ = path.stat().st_size
    if bytes_ <= _MAILABLE:
        say(f"{size(bytes_)}.")
        return
    less = any(not each.is_sample for each in files.files) and any(each.is_sample for each in files.files)
    smaller = f"`edgecap get {incident.id[:8]} --samples {path.name}` leaves the full captures out, or "
    say(
        f"{size(bytes_)}, about {size(bytes_ * _BASE64)} in a mail, which is too much for many mailboxes: "
        f"{smaller if less else ''}put it on a server and send the link."
    )


@contextmanager
def _work_beside(path: Path) -> Iterator[Path]:
    """A folder for files on their way, on the disk of the file that is made of them; removed at the end."""
    with explained(path):
        folder = Path(tempfile.mkdtemp(prefix=".edgecap-", dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
