"""All about an incident as one zip, to mail: the reports, the packets, and the SHA-256 of each."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from edgecap.cli.incident_files import PacketFiles
from edgecap.incidents.drops import PACKETS as DROPPED
from edgecap.incidents.overview import Overview, Overviews
from edgecap.packets.source import chunks, opened
from edgecap.report.file_names import folder_name, report_name
from edgecap.report.incident_pages import incident_pages
from edgecap.stores import Store
from edgecap.units import size

SUMS, README = "SHA256SUMS", "README.txt"
_FIRST = (1980, 1, 1, 0, 0, 0)  # of a zip
_LEVEL = 1  # of the compression: it is as fast as a disk, and packets of an attack resemble each other


def write_zip(
    store: Store,
    known: Overviews,
    incident: Overview,
    files: PacketFiles,
    folder: Path,
    target: Path,
    *,
    report_url: str = "",
) -> None:
    """Write the zip. All of it lies in one folder that is named for the incident.

    Args:
        store: the archive.
        known: its incidents.
        incident: the incident.
        files: its files with packets.
        folder: where they lie, by their names.
        target: the file to write.
        report_url: a receiver's public address, for links in reports; may be empty.

    Raises:
        StoreError: the archive does not answer.
    """
    own = report_name(incident.id)
    pages = incident_pages(store, known, incident, name=own, base=report_url, captures=True)
    texts = {README: _readme(incident, pages.verdict, own, files), own: pages.own, **pages.captures}
    inside, sums = folder_name(incident.id), []
    now = datetime.now(UTC)
    with ZipFile(target, "w", ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name, text in texts.items():
            archive.writestr(_dated(f"{inside}/{name}", now), text)
            sums.append(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n")
        for each in files.files:
            path = folder / each.name
            totals, times = each.entry.manifest.totals, each.entry.manifest.times
            info = _dated(f"{inside}/{each.name}", totals.first or times.submitted or now)
            with opened(path) as file, archive.open(info, "w", force_zip64=True) as out:
                for chunk in chunks(file, path):
                    out.write(chunk)
            sums.append(f"{each.file.sha256}  {each.name}\n")
        if files.dropped:
            with (
                opened(folder / DROPPED) as file,
                archive.open(_dated(f"{inside}/{DROPPED}", now), "w", force_zip64=True) as out,
            ):
                for chunk in chunks(file, folder / DROPPED):
                    out.write(chunk)
            sums.append(f"{files.dropped.sha256}  {DROPPED}\n")
        archive.writestr(_dated(f"{inside}/{SUMS}", now), "".join(sums))


def _dated(name: str, moment: datetime) -> ZipInfo:
    """A file's record with a time, UTC. A zip knows no time zones, and none before 1980."""
    when = moment.astimezone(UTC)
    info = ZipInfo(name, max(when.timetuple()[:6], _FIRST))
    info.compress_type = ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return info


def _readme(incident: Overview, verdict: str, own: str, files: PacketFiles) -> str:
    lines = [
        f"Incident {incident.id}, from edgecap",
        "",
        f"Verdict: {verdict}",
        f"Alert:   {incident.alert_in_words}",
        "",
        f"Open {own} in a browser: it links to the report of each capture.",
        "Open the packets in Wireshark:",
        *(f"  {each.name}: {each.kind}, {each.file.packets or 0:,} packets" for each in files.files),
    ]
    if files.dropped:
        lines.append(
            f"  {DROPPED}: headers of packets that the edge dropped, {files.dropped.packets:,} samples, each "
            "with what was done in its comment"
        )
    if files.left_out:
        lines += [
            "Left out, since only samples were wanted:",
            *(f"  {each.name}: {each.kind}, {size(each.file.size)}" for each in files.left_out),
            f"`edgecap get {incident.id[:8]} NAME.zip` brings them, where the archive is.",
        ]
    if files.missing:
        lines += ["Missing:", *(f"  {name}: {reason}" for name, reason in files.missing)]
    lines += [
        f"`sha256sum -c {SUMS}` verifies all files.",
        "The files with packets are dated by their first packet, UTC.",
        "The packets may hold private data of your users.",
    ]
    return "\n".join(lines) + "\n"
