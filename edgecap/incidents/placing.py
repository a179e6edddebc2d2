"""The data centres of an incident's full captures: at first where most of the attack arrives, then elsewhere.

Another place is tried if all captures at the chosen places had few packets, as long as the attack goes on and
the plan allows more places.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from edgecap.alerts.policy.decision import Planned
from edgecap.analytics.choice import Choice
from edgecap.analytics.history import has_few_packets
from edgecap.archive.entries import read_entry
from edgecap.archive.journal import Journal
from edgecap.captures.incident_part import IncidentPart
from edgecap.errors import Damaged, EntryMissing
from edgecap.incidents.record import IncidentEvent, Part, Placed, Told
from edgecap.requests import FullRequest
from edgecap.stores.base import Store

_BY = {
    "analytics": "Network Analytics names {place}",
    "policy": "the rule names {place}",
    "usual": "earlier captures had packets at {place}",
}
GAP = timedelta(seconds=15)  # between the starts of runs, so that they stand in line by their places
_OF_THE_PLACE = ("RequestRefused", "CaptureFailed")  # errors of a capture that another place may not have


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another data centre is to be tried for an alert.

    Attributes:
        event: the name of the alert's record.
    """

    event: str


def awaiting(event: IncidentEvent) -> Planned | None:
    """The capture of an event whose places are chosen, as it was planned; None if there is none."""
    return next((each for each in event.plan.captures if each.awaits_place), None)


def placed(planned: Planned, choice: Choice, before: Sequence[Placed], *, at: datetime) -> Placed:
    """A choice as it is written down, with the captures that follow from it.

    Args:
        planned: the capture whose places were to be chosen.
        choice: the places.
        before: earlier choices for the same capture.
        at: now, aware.
    """
    request = planned.request
    assert isinstance(request, FullRequest)
    taken = sum(len(each.captures) for each in before)
    evidence = choice.model_dump(mode="json")
    captures = tuple(
        Planned(
            phase=planned.phase,
            number=planned.number + taken + number,
            request=request.at(place),
            not_before=at + number * min(GAP, timedelta(seconds=request.time_limit)) if number else None,
            why=f"every packet for {request.time_limit} s, whole; {_BY[choice.by].format(place=place)}",
            choice=evidence,
        )
        for number, place in enumerate(choice.places[: planned.most - taken])
    )
    if not captures:
        remark = f"no {'further ' if before else ''}full capture: {choice.words}"
    elif before:
        tried = ", ".join(places_of(before))
        remark = f"few packets at {tried}, so another place is tried: {choice.words}"
    else:
        remark = f"full captures: {choice.words}"
    return Placed(captures=captures, remark=remark, at=at)


def places_of(records: Sequence[Placed]) -> list[str]:
    """The data centres of choices, in their order."""
    return [
        each.request.colo
        for record in records
        for each in record.captures
        if isinstance(each.request, FullRequest)
    ]


def elsewhere_wanted(store: Store, told: Told, parts: Sequence[Part]) -> Elsewhere | None:
    """For which alert another data centre is to be tried; None if for none.

    Args:
        store: the archive.
        told: the incident's alerts.
        parts: what became of its captures so far.

    Raises:
        StoreError: the archive cannot be read.
    """
    if told.ended:
        return None
    outcomes = {(part.phase, part.number): part for part in parts}
    for name, event in told.records.items():
        planned, records = awaiting(event), told.placed(name)
        if planned is None or not records or not records[-1].captures:
            continue
        captures = [each for record in records for each in record.captures]
        if len(captures) < planned.most and all(
            _is_disappointing(store, told, outcomes.get((each.phase, each.number))) for each in captures
        ):
            return Elsewhere(name)
    return None


def _is_disappointing(store: Store, told: Told, part: Part | None) -> bool:
    """Whether a capture is over and shows that its place was wrong."""
    if part is None or part.state == "pending" or not told.events:
        return False
    if part.state == "archived":
        with suppress(EntryMissing, Damaged):
            return has_few_packets(read_entry(store, part.entry).manifest)
        return False
    of = IncidentPart(incident=told.events[0].incident, phase=part.phase, number=part.number)
    record = Journal(store).follow(of.intent_id)
    return bool(record and record.ended and record.ended.error in _OF_THE_PLACE)
