"""The outcomes of an incident's captures: from the journal, and if it has none, from their runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, StateType

from edgecap.alerts.policy.decision import Planned
from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import JournalRecord
from edgecap.captures.incident_part import IncidentPart
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.record import IncidentEvent, Lost, Part
from edgecap.incidents.status import missing, part_of
from edgecap.stores import Store
from tasks.runtime.alert_runs import incident_tags, is_of_incident
from tasks.runtime.find_runs import find_runs

TAKEN_UP_WITHIN = timedelta(minutes=20)  # two rounds of `reconcile`: a run that crashed is taken up by then
_OVER = [StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED]


class Outcomes:
    """The outcomes of one incident's captures. A capture that is over is not looked at again.

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
        """The outcome of each planned capture, in the order of the plans.

        Raises:
            StoreError: the archive cannot be read or written.
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
        found = part_of(self._store, part.incident, planned, record)
        state = run.state if run else None
        if found.state != "pending" or state is None:
            return found
        words = state.message or state.name or ""
        # A run that got further is finished by itself or by `reconcile`, and the journal says how it ended.
        if _is_over(state.type, state.timestamp) and _is_lost(record, state.timestamp):
            # Written down, since only this process asks Prefect: commands and reports read the archive.
            lost = Lost(reason=words or "its run is over", at=datetime.now(UTC))
            return missing(
                found, Incidents(self._store).lose(part.incident, part.phase, part.number, lost).reason
            )
        return found.model_copy(update={"reason": words or found.reason})


def _is_lost(record: JournalRecord | None, since: datetime) -> bool:
    """Whether a request whose run is over will lead to nothing more, unless a person sees to it."""
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
        runs = await find_runs(client, tags={"any_": incident_tags(incident)})
    parts = ((run.parameters.get("part"), run) for run in runs if is_of_incident(run.parameters, incident))
    return {(part["phase"], part["number"]): run for part, run in parts if part}
