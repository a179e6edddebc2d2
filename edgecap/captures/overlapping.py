"""Full and sampled captures of the same time: what part of the packets the samples are.

Whichever is archived last finds the other in the archive. A sampled one then has its sampling, a full one
tells that of the sampled ones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from edgecap.archive.entries import Entry, list_entries
from edgecap.archive.manifest import RAW_ROLE, FileRecord, Manifest
from edgecap.captures.local_files import local_files
from edgecap.errors import EdgecapError, StoreError
from edgecap.packets.overlap import ENOUGH, overlap
from edgecap.packets.summarize import resampled
from edgecap.packets.summary import SampledCapture, Summary
from edgecap.requests import Filter
from edgecap.stores.base import Store

_log = logging.getLogger(__name__)
_LOOKED_AT = 20  # manifests of the other type
_COMPARED = 3  # captures
_LARGEST = 256 << 20  # bytes of a full capture that is fetched for this
_LONGEST = timedelta(hours=1)  # of full captures that are looked for; the API's documents say 300 s
_SHORT = 8  # characters of an id


def with_overlaps(
    archive: Store, summary: Summary, files: Sequence[Path], wanted: Filter, folder: Path
) -> Summary:
    """The summary with what captures of the other type tell. What cannot be read fails nothing.

    Args:
        archive: where they are looked for.
        summary: of a capture; if it is sampled, judged without a baseline.
        files: its raw files.
        wanted: what it was filtered by at the edge.
        folder: for copies of the others' files.
    """
    first, last = summary.first, summary.last
    if first is None or last is None or summary.packets < ENOUGH or summary.conditions.sampling:
        return summary
    found: list[SampledCapture] = []
    with suppress(StoreError):
        for number, entry in enumerate(_others(archive, summary, wanted, first, last)):
            try:
                summary, more = _compared(archive, summary, files, entry, wanted, folder / f"other-{number}")
            except EdgecapError as error:
                _log.warning("%s cannot be compared: %s", entry.where, error)
                continue
            found += more
            if summary.conditions.sampling:
                break
    return summary.model_copy(update={"sampled_captures": tuple(found)}) if found else summary


def _compared(
    archive: Store, summary: Summary, files: Sequence[Path], entry: Entry, wanted: Filter, folder: Path
) -> tuple[Summary, list[SampledCapture]]:
    folder.mkdir(exist_ok=True)
    theirs = local_files(archive, entry.prefix, _raw(entry.manifest), folder)
    if summary.sampled:
        common = overlap(files, theirs, wanted)
        if common is None:
            return summary, []
        full = f"full capture {entry.manifest.entry_id[:_SHORT]}"
        return resampled(summary, common.sampling, common.words(full)), []
    common = overlap(theirs, files, _filter(entry.manifest))
    if common is None:
        return summary, []
    return summary, [
        SampledCapture(
            capture=entry.manifest.entry_id,
            sampling=common.sampling,
            both=common.both,
            packets=common.packets,
        )
    ]


def _others(
    archive: Store, summary: Summary, wanted: Filter, first: datetime, last: datetime
) -> Iterator[Entry]:
    """Captures of the other type whose time and target overlap, newest first."""
    if summary.sampled:
        entries = list_entries(archive, since=first - _LONGEST, until=last, type="full")
    else:
        entries = list_entries(archive, since=first, type="simple")
    return islice(
        (each for each in islice(entries, _LOOKED_AT) if _overlaps(each.manifest, wanted, first, last)),
        _COMPARED,
    )


def _overlaps(manifest: Manifest, wanted: Filter, first: datetime, last: datetime) -> bool:
    totals = manifest.totals
    if totals.packets < ENOUGH or totals.first is None or totals.last is None:
        return False
    if totals.last < first or totals.first > last or sum(each.size for each in _raw(manifest)) > _LARGEST:
        return False
    theirs = _filter(manifest).destination_address
    return not (wanted.destination_address and theirs and theirs != wanted.destination_address)


def _raw(manifest: Manifest) -> list[FileRecord]:
    return [each for each in manifest.files if each.role == RAW_ROLE]


def _filter(manifest: Manifest) -> Filter:
    """What the API filtered by."""
    found = manifest.capture.get("filter_v1")
    fields = found if isinstance(found, dict) else {}
    with suppress(ValidationError):
        return Filter.model_validate({name: fields[name] for name in Filter.model_fields if name in fields})
    return Filter()
