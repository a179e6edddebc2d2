"""An entry in a line or two, with and without a summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from edgecap.archive.entries import Entry
from edgecap.archive.manifest import ENTRY_FLAGS, LIMIT_REACHED, STOPPED, Manifest
from edgecap.packets.inspection import EMPTY
from edgecap.packets.summary import Summary
from edgecap.protocols import protocol_name
from edgecap.units import duration, plural, size

_MILD = {EMPTY, LIMIT_REACHED, STOPPED}
_ENDED_EARLY = {STOPPED: "it was stopped", LIMIT_REACHED: "its packet limit or byte limit ended it"}


def verdict(entry: Entry, summary: Summary | None) -> str:
    """The result of the capture in a sentence."""
    if summary is not None and summary.verdict.strip():
        return summary.verdict
    totals = entry.manifest.totals
    if not totals.packets:
        return "No packets were captured" if totals.files else "Nothing was captured: there are no files"
    return f"{plural(totals.packets, 'packet')} in {plural(totals.files, 'file')}, {size(totals.size)}"


def headline(manifest: Manifest) -> str:
    """Type, place and filter: `full capture at ORD of the tcp packets to 203.0.113.7:443`."""
    where = manifest.colo or "all data centres"
    known, protocol, ends, expression = _filter(manifest)
    if not known:
        return f"{manifest.type} capture at {where}"
    if not (protocol or ends or expression):
        return f"{manifest.type} capture of all packets at {where}"
    packets = " ".join(["the", *protocol, "packets", *ends])
    return f"{manifest.type} capture at {where} of {packets}" + (
        f" that match '{expression}'" if expression else ""
    )


def asked_for(manifest: Manifest) -> str:
    """The filter in a line, such as `udp from 198.51.100.9:53 to 203.0.113.7`; empty if it is not known."""
    known, protocol, ends, expression = _filter(manifest)
    fields = " ".join([*protocol, *ends])
    return " and ".join(each for each in (fields, expression) if each) or ("everything" if known else "")


def coverage(manifest: Manifest, first: datetime | None, last: datetime | None) -> str:
    """For a capture that ended early, how much of its time its packets cover; empty if it did not.

    Args:
        manifest: the entry's.
        first: time of the first packet.
        last: time of the last one.
    """
    wanted = manifest.request.get("time_limit") or manifest.capture.get("time_limit")
    reason = next((why for flag, why in _ENDED_EARLY.items() if flag in manifest.flags), "")
    if not reason or not isinstance(wanted, int | float) or first is None or last is None:
        return ""
    covered = min((last - first).total_seconds(), float(wanted))
    return f"It covers {duration(covered)} of the {duration(wanted)} asked for: {reason}."


def _filter(manifest: Manifest) -> tuple[bool, list[str], list[str], str]:
    """Whether the filter is known; its protocol, its ends, and its expression."""
    wanted = manifest.request.get("filter")
    expression = " ".join(str(manifest.request.get("expression") or "").split())
    if not isinstance(wanted, Mapping):
        wanted = manifest.capture.get("filter_v1")
    if not isinstance(wanted, Mapping):
        return bool(manifest.request), [], [], expression
    number = wanted.get("protocol")
    protocol = [protocol_name(number)] if isinstance(number, int) else []
    source = _end(wanted.get("source_address"), wanted.get("source_port"))
    destination = _end(wanted.get("destination_address"), wanted.get("destination_port"))
    ends = [f"{word} {end}" for word, end in (("from", source), ("to", destination)) if end]
    return True, protocol, ends, expression


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
