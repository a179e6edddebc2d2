"""What became of an incident's captures: by the journal, and where it is silent by their runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, StateType

from edgecap.alerts.policy.decision import Planned
from edgecap.archive.entries import read_entry
from edgecap.archive.journal import Journal, JournalRecord
from edgecap.captures.incident_part import IncidentPart
from edgecap.errors import Damaged, EntryMissing, ObjectMissing
from edgecap.incidents.record import IncidentEvent, Part
from edgecap.stores import Store
from tasks.runtime.alert_runs import incident_tag
from tasks.runtime.find_runs import find_runs

TAKEN_UP_WITHIN = timedelta(minutes=20)  # two rounds of `reconcile`: a run that crashed is taken up by then
_OVER = [StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED]


class Outcomes:
    """What became of the captures of one incident; what is over is not looked at again.

    Args:
        store: the archive.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._journal = Journal(store)
        self._over: dict[str, Part] = {}

    def __repr__(self) -> str:
        return f"<Outcomes [{len(self._over)} over]>"

    async def look(self, noted: Sequence[IncidentEvent]) -> list[Part]:
        """What became of each capture that was planned, in the order of the plans.

        Raises:
            StoreError: the archive cannot be read.
        """
        planned = [each for one in noted for each in one.parts]
        if all(part.intent_id in self._over for part, _ in planned):
            return [self._over[part.intent_id] for part, _ in planned]
        runs = await _runs(noted[0].incident)
        parts = []
        for part, plan in planned:
            found = self._over.get(part.intent_id)
            if found is None:
                found = await asyncio.to_thread(self._look, part, plan, runs.get((part.phase, part.number)))
                if found.state != "pending":
                    self._over[part.intent_id] = found
            parts.append(found)
        return parts

    def _look(self, part: IncidentPart, planned: Planned, run: FlowRun | None) -> Part:
        record = self._journal.follow(part.intent_id)
        return _outcome(self._store, part, planned, record, run)


def _outcome(
    store: Store, part: IncidentPart, planned: Planned, record: JournalRecord | None, run: FlowRun | None
) -> Part:
    known = Part(
        phase=part.phase,
        number=part.number,
        request=str(planned.request),
        why=planned.why,
        state="pending",
        capture_id=record.capture_id if record else "",
    )
    state = run.state if run else None
    words = (state.message if state else "") or (state.name if state else "") or ""
    if record and record.ended:
        if not record.ended.entry:
            return known.model_copy(update={"state": "missing", "reason": record.ended.reason})
        kept = {"state": "archived", "entry": record.ended.entry}
        try:
            totals = read_entry(store, record.ended.entry).manifest.totals
        except (EntryMissing, ObjectMissing, Damaged):
            return known.model_copy(update=kept)  # taken elsewhere since; that it was kept is known
        return known.model_copy(update=kept | {"packets": totals.packets, "bytes": totals.size})
    # What was begun is finished by its run, or else by `reconcile`, which says how it ended.
    if state and _is_over(state.type, state.timestamp) and _is_lost(record, state.timestamp):
        return known.model_copy(update={"state": "missing", "reason": words or "its run is over"})
    return known.model_copy(update={"reason": words or "no run yet"})


def _is_lost(record: JournalRecord | None, since: datetime) -> bool:
    """Whether nothing more will come of a request whose run is over, unless a person sees to it."""
    if record is None:
        return True
    return record.accepted is None and datetime.now(UTC) - since > TAKEN_UP_WITHIN


def _is_over(kind: StateType, since: datetime) -> bool:
    if kind == StateType.CRASHED:
        return datetime.now(UTC) - since > TAKEN_UP_WITHIN
    return kind in _OVER


async def _runs(incident: str) -> dict[tuple[str, int], FlowRun]:
    """The runs of an incident's captures, by phase and number."""
    async with get_client() as client:
        runs = await find_runs(client, tags={"all_": [incident_tag(incident)]})
    parts = ((run.parameters.get("part"), run) for run in runs)
    return {(part["phase"], part["number"]): run for part, run in parts if part}
