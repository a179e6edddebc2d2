"""An entry in a line or two, with and without a summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from shlex import quote
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from edgecap.archive.entries import Entry
from edgecap.archive.manifest import ENTRY_FLAGS, LIMIT_REACHED, STOPPED, Manifest
from edgecap.packets.inspection import EMPTY
from edgecap.requests import protocol_and_ends
from edgecap.units import duration, period, plural, size

if TYPE_CHECKING:
    from edgecap.packets.summary import Summary

_LONGEST = 366 * 86_400  # seconds; a longer window is no window
_MILD = {EMPTY, LIMIT_REACHED, STOPPED}
_VERIFIED = {
    "gzip-crc32": "the gzip file's own checksum",
    "two-reads": "two reads that gave the same bytes",
    "one-read": "nothing: it can be read only once",
    "reads-differ": "nothing: each read gave other bytes",
    "length": "its size alone",
}
_SLACK = 0.05  # of the time asked for: a limit that was reached so shortly before the end cost nothing


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
    short = shortfall(manifest, first, last)
    if short is None:
        return ""
    return f"It covers {duration(short.covered)} of the {duration(short.wanted)} asked for: {short.reason}."


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A capture that ended before its time.

    Attributes:
        reason: such as `the packet limit ended it`.
        covered: seconds from its first packet to its last.
        wanted: seconds that were asked for.
        without: the times asked for, before and after its packets, of which it shows nothing; aware, UTC.
    """

    reason: str
    covered: float
    wanted: float
    without: tuple[tuple[datetime, datetime], ...]


def shortfall(manifest: Manifest, first: datetime | None, last: datetime | None) -> Shortfall | None:
    """How much a capture that ended early lacks; None if it did not end early, or has no packets.

    The times are those of its packets, because Cloudflare does not say which packets of a simple capture's
    window its packet limit keeps.

    Args:
        manifest: the entry's.
        first: time of the first packet.
        last: time of the last one.
    """
    wanted = manifest.request.get("time_limit") or manifest.capture.get("time_limit")
    reason = _ended_early(manifest)
    if not reason or not isinstance(wanted, int | float) or first is None or last is None:
        return None
    slack = timedelta(seconds=min(wanted, _LONGEST) * _SLACK)
    asked = window(manifest) if manifest.type == "simple" else None
    if asked is None:  # a full capture begins when it is its turn
        asked = first, first + timedelta(seconds=min(wanted, _LONGEST))
    gaps = (asked[0], min(first, asked[1])), (max(last, asked[0]), asked[1])
    return Shortfall(
        reason=reason,
        covered=min((last - first).total_seconds(), float(wanted)),
        wanted=float(wanted),
        without=tuple(gap for gap in gaps if gap[1] - gap[0] > slack),
    )


def _ended_early(manifest: Manifest) -> str:
    """What ended a capture before its time; empty if nothing did."""
    if STOPPED in manifest.flags:
        return "it was stopped"
    if LIMIT_REACHED not in manifest.flags:
        return ""
    limit = manifest.capture.get("packet_limit") or manifest.request.get("packet_limit")
    packets = isinstance(limit, int) and manifest.totals.packets >= limit
    return f"the {'packet' if packets else 'byte'} limit ended it"


def window(manifest: Manifest) -> tuple[datetime, datetime] | None:
    """From when to when packets were asked for, aware; None if that is not known.

    A full capture has no start of its own in the API: it records from its request on.
    """
    asked, submitted = manifest.request or manifest.capture, manifest.times.submitted
    seconds = asked.get("time_limit") or manifest.capture.get("time_limit")
    if not isinstance(seconds, int | float) or not 0 < seconds <= _LONGEST:
        return None
    length = timedelta(seconds=seconds)
    if manifest.type == "full":
        return (submitted, submitted + length) if submitted else None
    try:
        until = datetime.fromisoformat(str(manifest.capture.get("offset_time") or asked["offset_time"]))
    except (KeyError, ValueError):
        until = None
    until = until if until and until.tzinfo else submitted
    return (until - length, until) if until else None


def window_in_words(manifest: Manifest) -> str:
    """Such as `2026-11-23 06:33:06 to 06:34:06 UTC, 1 min`; empty if it is not known."""
    if not (found := window(manifest)):
        return ""
    length = duration((found[1] - found[0]).total_seconds())
    return f"{period(*found)}, {length}" + (" from the request on" if manifest.type == "full" else "")


def covered(first: datetime | None, last: datetime | None) -> str:
    """From when to when packets are, and how long that is, in the words of `window_in_words`."""
    if first is None or last is None:
        return "-"
    return f"{period(first, last)}, {duration((last - first).total_seconds())}"


def without_packets(manifest: Manifest) -> list[str]:
    """The likely causes, a line each, why a capture found no packets; none if it found some."""
    known, protocol, ends, expression = _filter(manifest)
    if manifest.shown_state == "no-match":
        fetched = plural(manifest.totals.packets, "packet")
        used_up = _used_up(manifest)
        return [
            *([used_up] if used_up else []),
            f"Cloudflare's part of the filter matched {fetched}, edgecap's part matches none of them.",
            f"`edgecap explain {quote(expression)}` shows both parts.",
        ]
    if manifest.shown_state != "empty":  # packets may be lost: the flags say so
        return []
    lines = ["It was stopped before its time."] if STOPPED in manifest.flags else []
    if protocol or ends or expression or not known:
        lines.append("No packet in its window matched its filter: leave out one field at a time.")
    lines.append("The traffic was at another time: look back further (--seconds, --at).")
    if manifest.type == "simple":
        lines.append("A simple capture has samples only: a small flow may have none.")
    elif manifest.colo:
        lines.append(f"The traffic may not pass {manifest.colo}: a simple capture sees all data centres.")
    return lines


def _used_up(manifest: Manifest) -> str:
    """That a limit ended a capture of which no packet matches; empty if none did."""
    short = shortfall(manifest, manifest.totals.first, manifest.totals.last)
    if short is None:
        return ""
    ended = f"{short.reason[:1].upper()}{short.reason[1:]} after {duration(short.covered)}"
    return (
        f"{ended} of {duration(short.wanted)}, with packets that do not match: name the protocol, address or "
        "port (--proto, --dst, --dport), or ask for less time (--seconds)."
    )


def verified_in_words(verified_by: str) -> str:
    """What a file's bytes were held against, as the manifest's `verified_by` tells it; empty for nothing."""
    if not verified_by or verified_by in _VERIFIED:
        return _VERIFIED.get(verified_by, "")
    name, _, parts = verified_by.partition("-of-")
    sum_ = name.upper().replace("SHA", "SHA-").replace("CRC", "CRC-")
    return f"the store's {sum_}" + (" of its parts" if parts else "")


def state_in_words(manifest: Manifest) -> str:
    """The state, with what it means if the word alone does not tell."""
    state = manifest.shown_state
    if state != "no-match":
        return state
    fetched = plural(manifest.totals.packets, "packet")
    return f"{state}: {fetched} fetched, and none matches the filter that edgecap applied"


def _filter(manifest: Manifest) -> tuple[bool, list[str], list[str], str]:
    """Whether the filter is known; its protocol, its ends, and its expression."""
    wanted = manifest.request.get("filter")
    expression = " ".join(str(manifest.request.get("expression") or "").split())
    if not isinstance(wanted, Mapping):
        wanted = manifest.capture.get("filter_v1")
    if not isinstance(wanted, Mapping):
        return bool(manifest.request), [], [], expression
    return True, *protocol_and_ends(wanted), expression


def flags(manifest: Manifest) -> Iterator[tuple[str, str, bool]]:
    """Each flag, what it means, and whether packets may be missing that should be there."""
    for flag in manifest.flags:
        yield flag, ENTRY_FLAGS.get(flag, "not known to this version of edgecap"), flag not in _MILD


def incident_of(manifest: Manifest) -> tuple[str, str]:
    """Id of the incident that the capture is part of, and its alert in a line; empty if there is none."""
    intent = manifest.intent or {}
    alert = intent.get("alert")
    if not alert:
        return manifest.incident, ""
    from edgecap.alerts.model import Alert  # noqa: PLC0415 - for incidents only
    from edgecap.alerts.words import in_words  # noqa: PLC0415 - the same

    try:
        words = in_words(Alert.model_validate(alert))
    except ValidationError:  # another version wrote it
        told = alert if isinstance(alert, Mapping) else {}
        targets = told.get("targets")
        where = ",".join(map(str, targets)) if isinstance(targets, list | tuple) else ""
        words = " ".join(str(word) for word in (told.get("source"), told.get("kind"), where) if word)
    return manifest.incident, words


def place_chosen(manifest: Manifest) -> str:
    """Why the capture was at its place, if edgecap chose that; empty if the request named it."""
    choice = (manifest.intent or {}).get("choice")
    return str(choice.get("words") or "") if isinstance(choice, Mapping) else ""


def fields(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A record's fields that are not empty, those of records in it with a dotted name."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from fields(value, f"{prefix}{name}.")
        elif value not in (None, "", []):
            yield f"{prefix}{name}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)
