"""Deriving files from an entry's packets: the merged file, the summary and the flow table, in one pass.

The raw files are read from the archive, so this can be done again after a crash, or later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from edgecap.archive.baseline import Usual, find_usual
from edgecap.archive.commit import put_file
from edgecap.archive.entries import Entry
from edgecap.archive.journal_records import Intent
from edgecap.archive.layout import FLOWS, PACKETS, SUMMARY, entry_prefix
from edgecap.archive.manifest import FileRecord, Totals
from edgecap.archive.series import earlier
from edgecap.archive.text import to_json
from edgecap.captures.identity import intent_id
from edgecap.captures.local_files import local_files
from edgecap.captures.overlapping import with_overlaps
from edgecap.cloudflare.models import Capture
from edgecap.errors import EdgecapError, StoreError
from edgecap.files.durable import explained, keep_free
from edgecap.files.hashing import sha256_of
from edgecap.packets.difference import LAST, compare
from edgecap.packets.flow_file import new_flow_file
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.inspect import Inspector
from edgecap.packets.inspection import TOO_LARGE, Inspection
from edgecap.packets.merge import Merged, MergedSource, MergeSource, merge
from edgecap.packets.residual import Residual
from edgecap.packets.source import chunks, opened
from edgecap.packets.summarize import judged, summarize
from edgecap.packets.summary import SourceFile, Summary
from edgecap.packets.verdict.conditions import Conditions, conditions_of
from edgecap.requests import Filter
from edgecap.stores.base import Store
from edgecap.stores.staging import working_folder

_log = logging.getLogger(__name__)
_PARTS = 100  # of an incident, before the attack; a rule asks for a few

Earlier = Callable[[], Sequence[tuple[str, Summary]]]
Beside = Callable[[Summary, Sequence[Path], Path], Summary]


@dataclass(frozen=True, slots=True)
class Derived:
    """The derived files, in their places in the archive, and what was found in the packets.

    Attributes:
        files: for the manifest, beside the raw ones.
        residual: the filter that was applied here, if there was one.
        verdict: the summary's verdict; empty if there is no summary.
        trouble: why there is no summary, in one line; empty if there is one.
    """

    files: tuple[FileRecord, ...] = ()
    residual: Residual | None = None
    verdict: str = ""
    trouble: str = ""


def derive_for(archive: Store, capture: Capture, raw: Sequence[FileRecord], intent: Intent | None) -> Derived:
    """Call `derive` with the arguments that follow from the capture and its intent.

    Args:
        archive: where the raw files lie.
        capture: with its final status.
        raw: its files as fetched.
        intent: the journal's record; None for a capture that is not ours.

    Raises:
        StoreError: as `derive`.
    """
    series = intent.series if intent else ""
    decided = intent.decided if intent else None
    request = intent.request.model_dump(mode="json") if intent else {}
    submitted = capture.submitted or decided or datetime.now(UTC)
    return derive(
        archive,
        entry_prefix(capture, decided=decided),
        raw,
        conditions=_conditions(capture, raw, intent),
        expression=intent.residual if intent else "",
        series=series,
        before=lambda: earlier(
            archive,
            series,
            request,
            before=submitted,
            most=LAST,
        ),
        usual=lambda summary: find_usual(
            archive,
            request,
            summary,
            before=submitted,
            series=series,
            ahead=_from_before(intent),
        ),
        beside=lambda summary, files, folder: with_overlaps(
            archive, summary, files, _asked_at_edge(capture, intent), folder
        ),
    )


def _from_before(intent: Intent | None) -> Callable[[Entry], bool]:
    """Whether an entry is of the intent's incident, and from before the attack."""
    if intent is None or not intent.incident:
        return lambda _: False
    ids = {intent_id(intent.incident, "before", str(number)) for number in range(1, _PARTS + 1)}
    return lambda entry: str((entry.manifest.intent or {}).get("intent_id") or "") in ids


def _conditions(capture: Capture, raw: Sequence[FileRecord], intent: Intent | None) -> Conditions:
    """How a capture's packets came, as it was asked for, and as the API says."""
    request = intent.request if intent else None
    fields = request.filter if request else _asked_at_edge(capture, intent)
    totals = Totals.of(raw)
    cut = "it was stopped" if capture.stop_requested else ""
    limits = (
        (capture.packet_limit or getattr(request, "packet_limit", None), totals.packets, "packets"),
        (capture.byte_limit or getattr(request, "byte_limit", None), totals.bytes_on_wire, "bytes"),
    )
    for limit, reached, unit in limits:
        if limit and reached >= limit:
            cut = f"at its limit of {limit:,} {unit}"
    return conditions_of(
        sampled=capture.type == "simple",
        fields=fields,
        expression=request.expression if request else "",
        at_edge=True,
        window=float(capture.time_limit or getattr(request, "time_limit", 0) or 0),
        cut=cut,
    )


def _asked_at_edge(capture: Capture, intent: Intent | None) -> Filter:
    """What the API filtered by."""
    found = intent.body.get("filter_v1") if intent else capture.filter_v1
    fields = found if isinstance(found, dict) else {}
    try:
        return Filter.model_validate({name: fields[name] for name in Filter.model_fields if name in fields})
    except ValidationError:
        return Filter()


def derive(
    archive: Store,
    prefix: str,
    raw: Sequence[FileRecord],
    *,
    conditions: Conditions | None = None,
    expression: str = "",
    series: str = "",
    before: Earlier = tuple,
    usual: Callable[[Summary], Usual] = lambda _: Usual(),
    beside: Beside = lambda summary, _files, _folder: summary,
) -> Derived:
    """Merge, filter and summarize an entry's raw files, and put the results beside them.

    Packets that cannot be summarized must not cost the entry: then the result has no files, and says why.

    Args:
        archive: where the raw files lie.
        prefix: the entry's.
        raw: its files as fetched.
        conditions: how the packets came; by default neither sampled nor filtered.
        expression: the filter to apply after the download, in pcap-filter's language.
        series: the name of its schedule, which earlier captures share.
        before: gets those captures' ids and summaries, newest first; called once.
        usual: finds the baseline of the summary.
        beside: adds to the summary what other captures of the same time tell, given the raw files and a
            folder for temporary ones.

    Raises:
        StoreError: the archive cannot be read or written, or the disk is full.
    """
    # Sorted, so that the results do not depend on the order of arrival.
    raw = sorted(raw, key=lambda file: (file.source_key, file.name))
    unread = [file for file in raw if TOO_LARGE in file.flags]
    raw = [file for file in raw if file not in unread]
    if unread and not raw:
        return Derived(trouble=f"{unread[0].name}: {unread[0].damage}")
    try:
        with working_folder(archive, "derive") as folder:
            # The merged file, and copies of the raw ones if they are not on this machine.
            copies = 1 if raw and archive.local(prefix + raw[0].name) else 2
            with explained(folder):
                keep_free(folder, folder, needed=copies * sum(file.size for file in raw))
            local = local_files(archive, prefix, raw, folder)
            made = _make(local, raw, folder, conditions or Conditions(), expression)
            left = tuple(
                SourceFile(name=each.name, packets=0, bytes=0, share=0, damage=each.damage) for each in unread
            )
            summary = made.summary.model_copy(update={"files": (*made.summary.files, *left)})
            summary = beside(summary, local, folder)
            found = usual(summary)
            if found.baseline:
                summary = judged(summary, found.baseline, found.evidence)
            if series:
                difference = compare(summary, series, before())
                summary = summary.model_copy(update={"difference": difference})
            return Derived(
                files=tuple(_put(archive, prefix, folder, made.merged, summary)),
                residual=made.residual,
                verdict=summary.verdict,
            )
    except (StoreError, MemoryError):
        raise
    except EdgecapError as error:
        return Derived(trouble=str(error))
    except Exception as error:  # noqa: BLE001 - a fault of ours must not cost the capture
        _log.exception("the packets of %s cannot be summarized", prefix)
        told = " ".join(f"{type(error).__name__}: {error}".split())
        return Derived(trouble=f"a fault of edgecap's own: {told}")


@dataclass(frozen=True, slots=True)
class _Made:
    merged: Merged
    summary: Summary
    residual: Residual | None


def _make(
    local: Sequence[Path],
    raw: Sequence[FileRecord],
    folder: Path,
    conditions: Conditions,
    expression: str,
) -> _Made:
    named = [
        MergeSource(path, server=Path(file.name).stem, name=Path(file.source_key or file.name).name)
        for path, file in zip(local, raw, strict=True)
    ]
    with new_flow_file(folder / FLOWS) as flows:
        table = FlowTable(flows.write)
        merged = merge(named, folder / PACKETS, expression=expression, tally=table)
        table.finish()
    readable = sum(each.inspection.packets for each in merged.sources)
    filtered = None
    if expression.strip():
        hints = [each.hint for each in merged.sources if each.hint]
        filtered = Residual(
            expression=expression,
            packets=readable,
            kept=merged.packets,
            hint=hints[0] if hints and not merged.packets else "",
        )
    summary = summarize(
        table,
        conditions=conditions,
        files=tuple(_sources(merged.sources, raw, readable)),
        residual=filtered,
    )
    return _Made(merged, summary, filtered)


def _sources(
    merged: Sequence[MergedSource], raw: Sequence[FileRecord], readable: int
) -> Iterator[SourceFile]:
    for source, file in zip(merged, raw, strict=True):
        found = source.inspection
        yield SourceFile(
            name=file.name,
            packets=found.packets,
            bytes=found.bytes_on_wire,
            share=round(found.packets / readable, 6) if readable else 0,
            damage=source.lost,
            notes=found.notes,
        )


def _put(archive: Store, prefix: str, folder: Path, merged: Merged, summary: Summary) -> Iterator[FileRecord]:
    if merged.packets:
        for name, role in ((PACKETS, "merged"), (FLOWS, "flows")):
            path = folder / name
            size, sha256, found = _read(path, inspect=role == "merged")
            kept = put_file(archive, prefix, name, path, size=size, sha256=sha256, move=True)
            yield FileRecord.of(kept, size=size, sha256=sha256, found=found, role=role)
    text = to_json(summary)
    sha256 = sha256_of([text])
    kept = put_file(archive, prefix, SUMMARY, text, size=len(text), sha256=sha256)
    yield FileRecord.of(kept, size=len(text), sha256=sha256, role="summary")


def _read(path: Path, *, inspect: bool) -> tuple[int, str, Inspection | None]:
    """A file's size and SHA-256, and its packets' inspection if asked for; the file is read once."""
    inspector = Inspector() if inspect else None
    with opened(path) as file:
        sha256 = sha256_of(chunks(file, path), inspector.feed if inspector else None)
    return path.stat().st_size, sha256, inspector.finish() if inspector else None
