"""The files with packets of an incident's captures, and how they come out of the archive."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgecap.analytics.dropped import PacketFile as DroppedPackets
from edgecap.archive.entries import Entry, read_entry
from edgecap.archive.manifest import FileRecord
from edgecap.cli.output import printable, say
from edgecap.cli.packet_files import files_of_packets, write_file
from edgecap.cli.target_file import written
from edgecap.errors import Damaged, EdgecapError, EntryMissing
from edgecap.files.hashing import sha256_of
from edgecap.incidents.drops import PACKETS as DROPPED
from edgecap.incidents.overview import Overview, Overviews
from edgecap.incidents.record import Part
from edgecap.report.file_names import capture_name
from edgecap.stores import Store
from edgecap.stores.reading import read_object

_PHASES = ("before", "during", "after")


@dataclass(frozen=True, slots=True)
class PacketFile:
    """A file with packets of one capture.

    Attributes:
        part: the capture in its incident.
        entry: its entry.
        file: the file's record.
        name: how to name it outside the archive, such as `during-1-ORD.pcapng`.
    """

    part: Part
    entry: Entry
    file: FileRecord
    name: str

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return Path(self.name).stem

    @property
    def kind(self) -> str:
        """Whether these are all packets or a sample, in words."""
        return "samples" if self.is_sample else "all packets"

    @property
    def is_sample(self) -> bool:
        """Whether these are sampled headers, of a simple capture: at most 10,000 packets."""
        return self.entry.manifest.type == "simple"

    def as_json(self) -> dict[str, Any]:
        """All about it but where it was written to."""
        return {
            "phase": self.part.phase,
            "number": self.part.number,
            "colo": self.entry.manifest.colo or None,
            "id": self.entry.manifest.entry_id,
            "part": self.file.name,
            "bytes": self.file.size,
            "sha256": self.file.sha256,
            "packets": self.file.packets,
        }


@dataclass(slots=True)
class PacketFiles:
    """The files of an incident.

    Attributes:
        files: in the order of the phases.
        missing: captures without packets, and files that could not be brought: name and reason.
        failure: the first error of a file that could not be brought.
        dropped: the headers of packets that the edge dropped; None if there are none.
        left_out: files that nobody wants.
    """

    files: list[PacketFile]
    missing: list[tuple[str, str]]
    failure: EdgecapError | None = None
    dropped: DroppedPackets | None = None
    left_out: list[PacketFile] = field(default_factory=list)

    def only_samples(self) -> None:
        """Leave out the files with all packets, which can be of any size.

        Raises:
            EntryMissing: there are no others.
        """
        samples = [each for each in self.files if each.is_sample]
        if not samples:
            raise EntryMissing("this incident has no samples", hint="leave out --samples")
        self.left_out = [each for each in self.files if not each.is_sample]
        self.files = samples

    def write(self, store: Store, folder: Path, *, force: bool = False) -> list[Path]:
        """Write the files into `folder`. One that cannot be brought stops no other; it moves to `missing`."""
        paths = []
        for each in tuple(self.files):
            path = folder / each.name
            try:
                write_file(store, each.entry, each.file, path, force=force)
            except EdgecapError as error:
                self.failure = self.failure or error
                self.files.remove(each)
                self.missing.append((each.stem, str(error)))
            else:
                paths.append(path)
        return paths

    def write_dropped(self, store: Store, folder: Path, *, force: bool = False) -> Path | None:
        """Write the headers of dropped packets into `folder`; None if there are none, or none to be had."""
        if self.dropped is None:
            return None
        path = folder / DROPPED
        try:
            _write_dropped(store, self.dropped, path, force=force)
        except EdgecapError as error:
            self.failure = self.failure or error
            self.missing.append((DROPPED, str(error)))
            self.dropped = None
            return None
        return path

    def missing_as_json(self) -> list[dict[str, str]]:
        """The captures and files that are missing."""
        return [{"capture": name, "reason": reason} for name, reason in self.missing]

    def conclude(self) -> None:
        """Say what is missing, and raise the first error."""
        for name, reason in self.missing:
            say(printable(f"Not brought: {name}: {reason}"))
        if self.failure:
            raise self.failure


def find_packet_files(store: Store, known: Overviews, incident: Overview) -> PacketFiles:
    """The files with the packets of an incident. If a capture's files could not be merged, each is one.

    Raises:
        EntryMissing: no capture of the incident has packets.
        StoreError: the archive cannot be read.
    """
    found: list[PacketFile] = []
    missing: list[tuple[str, str]] = []
    for part in sorted(known.parts(incident), key=_place):
        name = f"{part.phase}-{part.number} ({part.request})"
        if not part.entry:
            missing.append((name, f"{part.state}: {part.reason}"))
            continue
        try:
            entry = read_entry(store, part.entry)
            files = files_of_packets(entry)
        except EdgecapError as error:
            missing.append((name, error.what if isinstance(error, EntryMissing) else str(error)))
            continue
        for file in files:
            server = f"-{Path(file.name).stem}" if len(files) > 1 else ""
            name = f"{capture_name(part, entry)}{server}{Path(file.name).suffix}"
            found.append(PacketFile(part, entry, file, name))
    dropped = incident.dropped_packets
    if not found and dropped is None:
        short = incident.id[:8]
        raise EntryMissing(
            f"no capture of incident {short} has packets", hint=f"`edgecap incident show {short}` says why"
        )
    return PacketFiles(found, missing, dropped=dropped)


def _write_dropped(store: Store, file: DroppedPackets, path: Path, *, force: bool) -> None:
    with written(path, force=force, field="FILE", other="FILE") as beside, beside.open("xb") as out:

        def write(chunk: bytes) -> None:
            out.write(chunk)

        sha256 = sha256_of(read_object(store, file.key), write)
        if sha256 != file.sha256:
            raise Damaged(
                f"its SHA-256 is {sha256}, and its record states {file.sha256}",
                where=file.key,
                hint="try again; if it stays so, restore the file from a copy",
            )
        out.flush()
        os.fsync(out.fileno())


def _place(part: Part) -> tuple[int, int]:
    return _PHASES.index(part.phase), part.number
