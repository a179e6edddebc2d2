"""The captures in the archive that tell what is usual for a new one.

They asked for the same: type, place and filter; how long and how much does not matter, since rates are
compared. A capture that looks like an attack, or that was taken while one went on, tells nothing usual. Those
of the same schedule come first, then the incident's own from before it, then any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal

from edgecap.archive.entries import Entry, list_entries
from edgecap.archive.summaries import read_summary
from edgecap.errors import StoreError
from edgecap.packets.summary import Summary
from edgecap.packets.verdict.evidence import Evidence
from edgecap.packets.verdict.model import Baseline
from edgecap.stores.base import Store
from edgecap.units import plural

_REACH = timedelta(days=40)
# Entries whose manifests are read; for what is rare among others, fewer captures are found. A schedule's are
# far apart, and worth more.
_LOOKED_AT, _LOOKED_AT_FOR_A_SCHEDULE = 60, 300
_MOST = 10
_NOT_COMPARED = frozenset({"offset_time", "time_limit", "packet_limit", "byte_limit", "bucket"})
Kind = Literal["schedule", "incident", "target", "given"]


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual.

    Attributes:
        baseline: what it was taken from; None if there is nothing.
        evidence: of those captures, newest first.
    """

    baseline: Baseline | None = None
    evidence: tuple[Evidence, ...] = field(default=())


def find_usual(
    store: Store,
    request: dict[str, Any],
    summary: Summary,
    *,
    before: datetime,
    series: str = "",
    incident: str = "",
) -> Usual:
    """The baseline of a new capture. What cannot be read is left out, and fails nothing.

    Args:
        store: the archive.
        request: what the new capture asked for; without one there is no baseline.
        summary: of the new capture.
        before: when it was submitted, aware.
        series: the schedule's deployment, if one started it.
        incident: the id of its incident, if it is of one.
    """
    if not request:
        return Usual()
    entries = list_entries(
        store,
        since=before - _REACH,
        until=before.replace(microsecond=0),  # as in an entry's prefix, so that the new one is not found
        type=str(request.get("type") or "") or None,
        colo=str(request.get("colo") or ""),
    )
    asked, most = _asked(request), _LOOKED_AT_FOR_A_SCHEDULE if series else _LOOKED_AT
    alike = (entry for entry in islice(entries, most) if _asked(entry.manifest.request) == asked)
    found: list[tuple[Entry, Summary]] = []
    with suppress(StoreError):
        found.extend(_read(store, islice(alike, _MOST * 3)))
    by_kind: tuple[tuple[Kind, Sequence[tuple[Entry, Summary]]], ...] = (
        ("schedule", [each for each in found if series and _series(each[0]) == series]),
        ("incident", [each for each in found if incident and each[0].manifest.incident == incident]),
        ("target", found),
    )
    for kind, chosen in by_kind:
        if usual := usual_of([(entry.manifest.entry_id, each) for entry, each in chosen], summary, kind):
            return usual
    return Usual()


def usual_of(captures: Sequence[tuple[str, Summary]], summary: Summary, kind: Kind) -> Usual | None:
    """The baseline that these captures make for another; None if none of them tells what is usual.

    Args:
        captures: id, or file, and summary; newest first.
        summary: of the capture that is to be judged.
        kind: what they are.
    """
    same = [
        (name, each.evidence)
        for name, each in captures
        if each.evidence is not None
        and (kind == "given" or each.strength != "likely")
        and each.conditions.sampled == summary.conditions.sampled
        and each.conditions.sampling == summary.conditions.sampling
    ][:_MOST]
    if not same:
        return None
    baseline = Baseline(kind=kind, captures=tuple(name for name, _ in same), words=_words(kind, len(same)))
    return Usual(baseline, tuple(evidence for _, evidence in same))


def _words(kind: Kind, count: int) -> str:
    many = "the capture" if count == 1 else f"the {plural(count, 'capture')}"
    return {
        "schedule": f"{many} of its schedule before it",
        "incident": f"{many} from before this incident",
        "target": f"{many} with its filter before it",
        "given": f"{many} given as baseline",
    }[kind]


def _read(store: Store, entries: Iterator[Entry]) -> Iterator[tuple[Entry, Summary]]:
    for entry in entries:
        if summary := read_summary(store, entry):
            yield entry, summary


def _series(entry: Entry) -> str:
    return str((entry.manifest.intent or {}).get("series") or "")


def _asked(request: dict[str, Any]) -> dict[str, Any]:
    # A field that is left out and one that is empty ask for the same.
    return {
        name: _without_empty(value)
        for name, value in request.items()
        if name not in _NOT_COMPARED and _without_empty(value) not in ("", None, {})
    }


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: each for name, each in value.items() if each not in ("", None)}
    return value
