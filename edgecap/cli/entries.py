"""An entry as JSON, and its page in a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgecap.archive.entries import Entry
from edgecap.archive.manifest import ENTRY_FLAGS, FileRecord
from edgecap.cli.output import pairs, printable, table
from edgecap.report.words import (
    asked_for,
    coverage,
    covered,
    place_chosen,
    state_in_words,
    window,
    window_in_words,
    without_packets,
)
from edgecap.requests import rfc3339

if TYPE_CHECKING:
    from edgecap.packets.summary import Summary

_UNLIMITED = 10_000  # columns
_WHOLE_HASH, _SHORT_HASH = 64, 12  # hexadecimal digits of a SHA-256


def entry_json(entry: Entry, verdict: str) -> dict[str, Any]:
    """The JSON form of an entry. Times are RFC 3339, UTC; sizes are bytes; `path` holds its files.

    Packets were asked for from `asked_from` to `asked_to`, and are there from `first` to `last`.
    `packets` were fetched; `kept` are those of them that matched the filter which edgecap applied.
    """
    manifest, totals, asked = entry.manifest, entry.manifest.totals, window(entry.manifest)
    return {
        "id": manifest.entry_id,
        "type": manifest.type,
        "colo": manifest.colo or None,
        "place_chosen": place_chosen(manifest) or None,
        "what": asked_for(manifest) or None,
        "account": manifest.account or None,
        "incident": manifest.incident or None,
        "verdict": verdict or None,
        "state": manifest.shown_state,
        "flags": list(manifest.flags),
        "submitted": _time(manifest.times.submitted),
        "asked_from": _time(asked[0]) if asked else None,
        "asked_to": _time(asked[1]) if asked else None,
        "first": _time(totals.first),
        "last": _time(totals.last),
        "packets": totals.packets,
        "kept": manifest.kept_packets,
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
        **entry_json(entry, summary.verdict if summary else ""),
        "difference": summary.difference.verdict if summary and summary.difference else None,
        "residual": manifest["residual"],
        "request": manifest["request"] or None,
        "capture": manifest["capture"],
        "times": manifest["times"],
        "versions": manifest["versions"],
        "files": manifest["files"],
    }


def print_entry(out: Console, entry: Entry, summary: Summary | None) -> None:
    """Print all details of an entry, for people."""
    manifest, totals = entry.manifest, entry.manifest.totals
    residual, causes = manifest.residual, without_packets(manifest)
    rows = [
        *([("verdict", summary.verdict)] if summary else []),
        *([("difference", summary.difference.verdict)] if summary and summary.difference else []),
        *([("no summary", manifest.trouble)] if manifest.trouble else []),
        ("capture", manifest.entry_id),
        ("type", manifest.type),
        ("place", manifest.colo or "all data centres"),
        *([("place chosen", chosen)] if (chosen := place_chosen(manifest)) else []),
        ("state", state_in_words(manifest)),
        *(("likely cause" if number == 0 else "", line) for number, line in enumerate(causes)),
        *(("flag", f"{flag}: {ENTRY_FLAGS.get(flag, 'unknown to this version')}") for flag in manifest.flags),
        ("request", _fields(manifest.request) or "none: it was started elsewhere"),
        ("submitted", _time(manifest.times.submitted) or "-"),
        ("time asked for", window_in_words(manifest) or "-"),
        ("packets from", covered(totals.first, totals.last)),
        *([("ended early", told)] if (told := coverage(manifest, totals.first, totals.last)) else []),
        (
            "fetched" if residual else "packets",
            f"{totals.packets:,} ({totals.bytes_on_wire:,} bytes on the wire)",
        ),
        *([("matched", f"{residual.kept:,} of them match {residual.expression}")] if residual else []),
        ("kept", f"{totals.size:,} bytes in {totals.files} file{'' if totals.files == 1 else 's'}"),
        ("Cloudflare said", _fields(manifest.capture)),
        ("made by", f"edgecap {manifest.versions.edgecap}, {_time(manifest.times.committed) or '-'}"),
    ]
    out.print(pairs(rows))
    out.print(Text("path", "bold"))
    out.print(printable(entry.path), soft_wrap=True)  # whole, so that it can be copied
    out.print()
    files = _file_table(manifest.files)
    if out.measure(files, options=out.options.update(width=_UNLIMITED)).maximum > out.width:
        files = _file_table(manifest.files, digits=_SHORT_HASH)
    out.print(files)


def _file_table(files: Iterable[FileRecord], *, digits: int = _WHOLE_HASH) -> Table:
    """One line per file, with so many digits of its hash; `show --json` has all of them."""
    rows = (
        (
            file.name,
            "-" if file.packets is None else f"{file.packets:,}",
            f"{file.size:,}",
            file.sha256[:digits] + ("…" if digits < _WHOLE_HASH else ""),
            ", ".join(file.flags) + (f": {file.damage}" if file.damage else ""),
        )
        for file in files
    )
    return table(("file", ">packets", ">bytes", "SHA-256", "flags"), rows)


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
