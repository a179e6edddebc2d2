"""Which packets of an incident are the attack's, and which show usual traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from edgecap.alerts.model import Alert
from edgecap.archive.entries import Entry, read_entry
from edgecap.errors import Damaged, EntryMissing
from edgecap.incidents.record import IncidentEvent, Part
from edgecap.proposals.archived import Picked, covers, earlier
from edgecap.stores.base import Store
from edgecap.units import duration, stamp

_MARGIN = timedelta(seconds=10)  # before the attack's start: clocks differ
_UNKNOWN_START = timedelta(minutes=5)  # before the alert, if it does not say when the attack began


@dataclass(frozen=True, slots=True)
class Comparison:
    """Captures to compare.

    Attributes:
        attack: those with packets of the attack.
        baseline: those of usual traffic.
        remarks: for people, on how they were chosen.
    """

    attack: tuple[Picked, ...]
    baseline: tuple[Picked, ...]
    remarks: tuple[str, ...] = ()


def comparison_of(store: Store, opened: IncidentEvent, parts: Sequence[Part]) -> Comparison:
    """The captures of an incident, as attack or usual traffic; and earlier captures of its target.

    Packets from before the attack's start are usual traffic. The alert says when it began. If it does not,
    the last minutes before it arrived count as neither.

    Args:
        store: the archive.
        opened: how the incident began.
        parts: what became of its captures.

    Raises:
        StoreError: the archive does not answer.
    """
    began, quiet, remark = _start(opened)
    kept = [(part, entry) for part in parts if (entry := _entry(store, part)) is not None]
    during = [Picked(entry, _name(part)) for part, entry in kept if part.phase == "during"]
    before = [(part, entry) for part, entry in kept if part.phase == "before"]
    onset = [Picked(entry, _name(part), since=began) for part, entry in before]
    attack = (*during, *onset) if during else tuple(onset)
    entries = [each.entry for each in attack]
    usual = [
        Picked(entry, _name(part), until=quiet)
        for part, entry in before
        if all(covers(entry, each) for each in entries)
    ]
    if entries:
        usual += earlier(store, entries, before=quiet)
    return Comparison(attack, tuple(usual), (remark,))


def _start(opened: IncidentEvent) -> tuple[datetime, datetime, str]:
    """When the attack began, until when traffic was usual, and how that is known."""
    try:
        alert = Alert.model_validate(opened.alert)
    except ValidationError:  # a newer version wrote it
        alert = None
    if alert is not None and alert.started is not None:
        began, quiet = alert.started, alert.started - _MARGIN
        return began, quiet, f"usual traffic is that until {stamp(quiet)}, shortly before the attack began"
    arrived = alert.received if alert else opened.at
    quiet = arrived - _UNKNOWN_START
    return (
        arrived,
        quiet,
        (
            f"the alert does not say when the attack began, so usual traffic is that until {stamp(quiet)}, "
            f"{duration(_UNKNOWN_START.total_seconds())} before it arrived"
        ),
    )


def _name(part: Part) -> str:
    return f"{part.phase} {part.number}"


def _entry(store: Store, part: Part) -> Entry | None:
    """The entry of a part, if there is one with packets."""
    if not part.entry:
        return None
    try:
        entry = read_entry(store, part.entry)
    except (EntryMissing, Damaged):
        return None
    return entry if entry.manifest.kept_packets else None
