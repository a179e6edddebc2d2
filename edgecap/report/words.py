"""An entry in a line or two, with and without a summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgecap.archive.entries import Entry
from edgecap.archive.manifest import ENTRY_FLAGS, LIMIT_REACHED, STOPPED, Manifest
from edgecap.packets.inspection import EMPTY
from edgecap.packets.summary import Summary
from edgecap.protocols import protocol_name
from edgecap.units import plural, size

_MILD = {EMPTY, LIMIT_REACHED, STOPPED}


def verdict(entry: Entry, summary: Summary | None) -> str:
    """The result of the capture in a sentence."""
    if summary is not None and summary.verdict.strip():
        return summary.verdict
    totals = entry.manifest.totals
    if not totals.packets:
        return "No packets were captured" if totals.files else "Nothing was captured: there are no files"
    return f"{plural(totals.packets, 'packet')} in {plural(totals.files, 'file')}, {size(totals.size)}"


def headline(manifest: Manifest) -> str:
    """Type, place and filter, such as `full capture at ORD of tcp 203.0.113.7:443`."""
    where = manifest.colo or "all data centres"
    asked = asked_for(manifest)
    return f"{manifest.type} capture at {where}" + (f" of {asked}" if asked else "")


def asked_for(manifest: Manifest) -> str:
    """The filter in a line, such as `udp 198.51.100.9:53 > 203.0.113.7`; empty if it is not known."""
    wanted = manifest.request.get("filter")
    expression = " ".join(str(manifest.request.get("expression") or "").split())
    if not isinstance(wanted, Mapping):
        wanted = manifest.capture.get("filter_v1")
    if not isinstance(wanted, Mapping):
        return expression or ("everything" if manifest.request else "")
    number = wanted.get("protocol")
    parts = [protocol_name(number)] if isinstance(number, int) else []
    source = _end(wanted.get("source_address"), wanted.get("source_port"))
    destination = _end(wanted.get("destination_address"), wanted.get("destination_port"))
    if source:
        parts.append(f"from {source}")
    if destination:
        parts.append(f"to {destination}")
    fields = " ".join(parts)
    return " and ".join(each for each in (fields, expression) if each) or "everything"


def _end(address: Any, port: Any) -> str:
    if address and port is not None:
        return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"
    return str(address or "") or (f"port {port}" if port is not None else "")


def flags(manifest: Manifest) -> Iterator[tuple[str, str, bool]]:
    """Each flag, what it means, and whether packets may be missing that should be there."""
    for flag in manifest.flags:
        yield flag, ENTRY_FLAGS.get(flag, "not known to this version of edgecap"), flag not in _MILD


def incident_of(manifest: Manifest) -> tuple[str, str]:
    """Id of the incident that the capture is part of, and its alert in a line; empty if there is none."""
    intent = manifest.intent or {}
    alert = intent.get("alert")
    told = alert if isinstance(alert, Mapping) else {}
    targets = told.get("targets")
    where = ",".join(map(str, targets)) if isinstance(targets, list | tuple) else ""
    words = (told.get("source"), told.get("kind"), told.get("severity"), where)
    return str(intent.get("incident") or ""), " ".join(str(word) for word in words if word)


def fields(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A record's fields that are not empty, those of records in it with a dotted name."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from fields(value, f"{prefix}{name}.")
        elif value not in (None, "", []):
            yield f"{prefix}{name}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)
