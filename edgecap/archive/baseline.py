"""The captures in the archive that tell what is usual for a new one.

They asked for the same: type, place and filter; how long and how much does not matter, since rates are
compared. Those of the same schedule come first, then the incident's own from before the attack, then those
of quiet hours: of no incident, and an hour or more before. A capture that is likely an attack tells nothing
usual; one that is possibly an attack does if it is older, since an ordinary service may always look so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from edgecap.archive.entries import Entry
from edgecap.archive.layout import EntryPlace, parse_prefix
from edgecap.archive.same_request import places, read
from edgecap.archive.summaries import read_summary
from edgecap.errors import StoreError
from edgecap.packets.summary import Summary
from edgecap.packets.verdict.conditions import Conditions
from edgecap.packets.verdict.evidence import Evidence
from edgecap.packets.verdict.model import Baseline
from edgecap.stores.base import Store
from edgecap.units import plural

_MOST = 10
_READ = 15  # summaries of the newest, and as many of those that are apart
_LISTED = 200  # captures of which those are chosen: more than a schedule of every minute has in an hour
_APART = timedelta(hours=1)  # attacks of the last hour may go on, and be told nowhere
_SETTLED = timedelta(hours=6)  # what is possibly an attack, and has been so for so long, is how it always is
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
    ahead: Callable[[Entry], bool] = lambda _: False,
) -> Usual:
    """The baseline of a new capture. What cannot be read is left out, and fails nothing.

    Args:
        store: the archive.
        request: what the new capture asked for; without one there is no baseline.
        summary: of the new capture.
        before: when it was submitted, aware.
        series: the schedule's deployment, if one started it.
        ahead: whether an entry is of its incident, and from before the attack.
    """
    if not request:
        return Usual()
    found: list[tuple[Entry, Summary]] = []
    with suppress(StoreError):
        there = places(store, request, before=before, most=_LISTED)
        found.extend(_read(store, _chosen(there, before), request))
    by_kind: tuple[tuple[Kind, Sequence[tuple[Entry, Summary]]], ...] = (
        ("schedule", [each for each in found if series and _series(each[0]) == series]),
        ("incident", [each for each in found if ahead(each[0])]),
        ("target", [each for each in found if _quiet(each[0], before)]),
    )
    for kind, chosen in by_kind:
        usual = [
            (entry.manifest.entry_id, each)
            for entry, each in chosen
            if each.strength != "possible" or _submitted(entry) < before - _SETTLED
        ]
        if known := usual_of(usual, summary, kind):
            return known
    return Usual()


def _chosen(found: list[EntryPlace], before: datetime) -> list[EntryPlace]:
    """The newest ones, and the newest of those that were taken an hour or more before."""
    newest = found[:_READ]
    apart = [each for each in found[_READ:] if each.submitted < before - _APART]
    return [*newest, *apart[:_READ]]


def _quiet(entry: Entry, before: datetime) -> bool:
    return not entry.manifest.incident and _submitted(entry) < before - _APART


def _submitted(entry: Entry) -> datetime:
    place = parse_prefix(entry.prefix)
    return place.submitted if place else datetime.max.replace(tzinfo=UTC)


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
        and _same_sampling(each.conditions, summary.conditions)
    ][:_MOST]
    if not same:
        return None
    baseline = Baseline(kind=kind, captures=tuple(name for name, _ in same), words=_words(kind, len(same)))
    return Usual(baseline, tuple(evidence for _, evidence in same))


def _same_sampling(one: Conditions, other: Conditions) -> bool:
    """Whether samples can be compared: an estimated sampling, or an unknown one, is taken for the other's."""
    if any(each.sampling is None or each.sampling_estimate for each in (one, other)):
        return True
    return one.sampling == other.sampling


def _words(kind: Kind, count: int) -> str:
    many = "the capture" if count == 1 else f"the {plural(count, 'capture')}"
    return {
        "schedule": f"{many} of its schedule before it",
        "incident": f"{many} from before this incident",
        "target": f"{many} with its filter, taken an hour or more before it",
        "given": f"{many} given as baseline",
    }[kind]


def _read(store: Store, found: list[EntryPlace], request: dict[str, Any]) -> Iterator[tuple[Entry, Summary]]:
    for entry in read(store, found, request):
        if summary := read_summary(store, entry):
            yield entry, summary


def _series(entry: Entry) -> str:
    return str((entry.manifest.intent or {}).get("series") or "")
