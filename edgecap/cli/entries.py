"""Output of entries: one JSON form and one table form for all commands."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from edgecap.archive.entries import Entry
from edgecap.archive.manifest import ENTRY_FLAGS, FileRecord
from edgecap.cli.output import console, pairs, print_table, table
from edgecap.packets.summary import Summary
from edgecap.requests import rfc3339

COLUMNS = ("submitted", "id", "type", "colo", ">packets", ">bytes", ">files", "state", "path")


def entry_json(entry: Entry) -> dict[str, Any]:
    """The JSON form of an entry. Times are RFC 3339, UTC; sizes are bytes; `path` holds its files."""
    manifest, totals = entry.manifest, entry.manifest.totals
    return {
        "id": manifest.entry_id,
        "type": manifest.type,
        "colo": manifest.colo or None,
        "state": manifest.state,
        "flags": list(manifest.flags),
        "submitted": _time(manifest.times.submitted),
        "first": _time(totals.first),
        "last": _time(totals.last),
        "packets": totals.packets,
        "bytes": totals.size,
        "path": entry.where,
        "files": [
            {
                "name": file.name,
                "bytes": file.size,
                "sha256": file.sha256,
                "packets": file.packets,
                "flags": list(file.flags),
            }
            for file in manifest.files
        ],
    }


def entry_details(entry: Entry, summary: Summary | None) -> dict[str, Any]:
    """The output of `show --json`: `entry_json`, the verdict, and the manifest's content."""
    manifest = entry.manifest.model_dump(mode="json")
    return {
        **entry_json(entry),
        "verdict": summary.verdict if summary else None,
        "difference": summary.difference.verdict if summary and summary.difference else None,
        "residual": manifest["residual"],
        "request": manifest["request"] or None,
        "capture": manifest["capture"],
        "times": manifest["times"],
        "versions": manifest["versions"],
        "files": manifest["files"],
    }


def print_entries(entries: Iterable[Entry]) -> None:
    """Print one line per entry on stdout."""
    print_table(console(), COLUMNS, [_row(entry) for entry in entries])


def entry_page(entry: Entry, summary: Summary | None) -> RenderableType:
    """All details of an entry, for people."""
    manifest, totals = entry.manifest, entry.manifest.totals
    residual = manifest.residual
    rows = [
        *([("verdict", summary.verdict)] if summary else []),
        *([("difference", summary.difference.verdict)] if summary and summary.difference else []),
        *([("no summary", manifest.trouble)] if manifest.trouble else []),
        ("capture", manifest.entry_id),
        ("type", manifest.type),
        ("place", manifest.colo or "all data centres"),
        ("state", manifest.state),
        *(("flag", f"{flag}: {ENTRY_FLAGS.get(flag, 'unknown to this version')}") for flag in manifest.flags),
        ("request", _fields(manifest.request) or "none: it was started elsewhere"),
        ("submitted", _time(manifest.times.submitted) or "-"),
        ("packets from", f"{_time(totals.first)} to {_time(totals.last)}" if totals.first else "-"),
        ("packets", f"{totals.packets:,} ({totals.bytes_on_wire:,} bytes on the wire)"),
        *([("filtered", f"{residual.kept:,} of them match {residual.expression}")] if residual else []),
        ("kept", f"{totals.size:,} bytes in {totals.files} file{'' if totals.files == 1 else 's'}"),
        ("Cloudflare said", _fields(manifest.capture)),
        ("made by", f"edgecap {manifest.versions.edgecap}, {_time(manifest.times.committed) or '-'}"),
        ("path", entry.where),
    ]
    return Group(pairs(rows), "", file_table(manifest.files))


def file_table(files: Iterable[FileRecord]) -> Table:
    """One line per file."""
    rows = (
        (
            file.name,
            "-" if file.packets is None else f"{file.packets:,}",
            f"{file.size:,}",
            file.sha256,
            ", ".join(file.flags) + (f": {file.damage}" if file.damage else ""),
        )
        for file in files
    )
    return table(("file", ">packets", ">bytes", "SHA-256", "flags"), rows)


def _row(entry: Entry) -> tuple[str, ...]:
    manifest, totals = entry.manifest, entry.manifest.totals
    submitted = manifest.times.submitted
    return (
        f"{submitted:%Y-%m-%d %H:%M:%S}" if submitted else "-",
        manifest.entry_id,
        manifest.type,
        manifest.colo or "all",
        f"{totals.packets:,}",
        f"{totals.size:,}",
        str(totals.files),
        manifest.state + (f" ({', '.join(manifest.flags)})" if manifest.flags else ""),
        entry.where,
    )


def _fields(record: dict[str, Any], prefix: str = "") -> str:
    """A record's non-empty fields in one line."""
    parts = []
    for name, value in record.items():
        if isinstance(value, dict):
            parts.append(_fields(value, f"{prefix}{name}."))
        elif value not in (None, "", []):
            parts.append(f"{prefix}{name}={value}")
    return " ".join(part for part in parts if part)


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
