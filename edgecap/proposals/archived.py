"""Captures of the archive as sources of packets: those that show usual traffic, and where their files are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from edgecap.archive.entries import Entry, list_entries
from edgecap.archive.manifest import RAW_ROLE, FileRecord
from edgecap.archive.targets import Network, targets
from edgecap.errors import StoreError
from edgecap.proposals.capture_source import CaptureSource
from edgecap.stores.base import Store
from edgecap.stores.staging import working_folder
from edgecap.stores.transfer import fetch_many

MERGED_ROLE = "merged"
_REACH = timedelta(days=14)  # traffic of weeks ago says little about that of today
_LOOKED_AT = 300  # entries
_MOST = 10  # captures of a baseline
_SHORT = 8  # characters of an id
_PARALLEL = 4


@dataclass(frozen=True, slots=True)
class Picked:
    """A capture that is to be looked at, or a part of its time.

    Attributes:
        entry: the capture in the archive.
        name: for people, such as `before 1`; empty for none.
        since: no packets before this time, aware; None: from the first.
        until: no packets from this time on, aware; None: to the last.
    """

    entry: Entry
    name: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def title(self) -> str:
        """Such as `before 1 (1f0c22ab)`."""
        short = self.entry.manifest.entry_id[:_SHORT]
        return f"{self.name} ({short})" if self.name else short

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in _files(self.entry))


def earlier(store: Store, wanted: Sequence[Entry], *, before: datetime) -> list[Picked]:
    """The newest captures of the same targets that show usual traffic: none of an incident or of an attack.

    Args:
        store: the archive.
        wanted: the captures of the attack.
        before: when it began, aware.
    """
    where = {network for entry in wanted for network in targets(entry.manifest)}
    mine = {entry.manifest.entry_id for entry in wanted}
    found: list[Picked] = []
    # An entry that cannot be read must not hide those that were read.
    with suppress(StoreError):
        entries = list_entries(store, since=before - _REACH, until=before.replace(microsecond=0))
        for entry in islice(entries, _LOOKED_AT):
            if entry.manifest.entry_id in mine or not _is_usual(entry, where):
                continue
            if all(covers(entry, each) for each in wanted):
                found.append(Picked(entry, "earlier", until=before))
                if len(found) == _MOST:
                    break
    return found


def _is_usual(entry: Entry, where: Iterable[Network]) -> bool:
    manifest = entry.manifest
    if manifest.incident or not manifest.kept_packets or manifest.verdict.startswith("Likely"):
        return False
    theirs = list(targets(manifest))
    return any(one.version == other.version and one.overlaps(other) for one in where for other in theirs)


def covers(baseline: Entry, attack: Entry) -> bool:
    """Whether a capture of usual traffic could hold every packet that a capture of the attack could.

    If its filter leaves out packets, their absence proves nothing.
    """
    narrow, wide = _filter(attack), _filter(baseline)
    return all(narrow.get(name) == value for name, value in wide.items())


def _filter(entry: Entry) -> dict[str, Any]:
    """The fields of a capture's filter that are set, and its expression."""
    request = entry.manifest.request
    fields = request.get("filter")
    if not isinstance(fields, Mapping):
        fields = entry.manifest.capture.get("filter_v1")
    found = dict(fields) if isinstance(fields, Mapping) else {}
    found["expression"] = " ".join(str(request.get("expression") or "").split())
    return {name: value for name, value in found.items() if value not in (None, "")}


@contextmanager
def opened(store: Store, picked: Sequence[Picked]) -> Iterator[list[CaptureSource]]:
    """The captures' packets, in files of this machine; copies of them are removed at the end.

    Raises:
        StoreError: the archive does not give a file, or the disk is full.
    """
    with working_folder(store, "propose") as folder:
        entries = {each.entry.prefix: each.entry for each in picked}
        files = {
            prefix: _local(store, entry, folder / str(number))
            for number, (prefix, entry) in enumerate(entries.items())
        }
        yield [
            CaptureSource(
                name=each.title,
                paths=tuple(files[each.entry.prefix]),
                sampled=each.entry.manifest.type == "simple",
                since=each.since,
                until=each.until,
                capture_id=each.entry.manifest.entry_id,
            )
            for each in picked
        ]


def _local(store: Store, entry: Entry, folder: Path) -> list[Path]:
    """The files with the entry's packets: the archive's own if it is a folder, else copies in `folder`."""
    keys = [entry.prefix + file.name for file in _files(entry)]
    here = [path for key in keys if (path := store.local(key)) is not None]
    if len(here) == len(keys):
        return here
    folder.mkdir()
    infos = [store.stat(key) for key in keys]
    names = [folder / f"{number}{Path(key).suffix}" for number, key in enumerate(keys)]
    return [each.path for each in fetch_many(store, infos, names, parallel=_PARALLEL)]


def _files(entry: Entry) -> list[FileRecord]:
    """The merged file; the fetched ones if there is none and nothing was filtered after the download."""
    manifest = entry.manifest
    merged = [file for file in manifest.files if file.role == MERGED_ROLE]
    if merged or manifest.residual is not None:
        return merged
    return [file for file in manifest.files if file.role == RAW_ROLE]
