"""Priorities, and runs that wait for a lane, as Prefect's API shows them. Prefect is not imported here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from edgecap.captures.queue import HOLDS, PRIORITY, SINCE, Priority, Waiter
from edgecap.requests import FullRequest, SimpleRequest
from tasks.runtime.alert_runs import ALERT

WORK_QUEUES: dict[str, Priority | None] = {
    "upkeep": None,  # `reconcile` keeps the rest going and enters no lane
    "alerts": Priority.ALERT,
    "manual": Priority.MANUAL,
    "schedules": Priority.SCHEDULE,
}
"""The one table of priorities: Prefect's work queues, the most urgent first, and what each means in a lane.

Prefect's priority decides which run a worker starts first. A run that has started may still have to wait for
its account's lane; there, `Priority` decides which run goes first.
"""


def priority_of(run: Mapping[str, Any]) -> Priority:
    """What a run is for. A run outside of edgecap's work queues is for a person, unless a schedule made it.

    Args:
        run: a flow run as Prefect's API shows it.
    """
    if ALERT in run["tags"]:  # in whatever queue
        return Priority.ALERT
    return WORK_QUEUES.get(run.get("work_queue_name") or "") or (
        Priority.SCHEDULE if run.get("auto_scheduled") else Priority.MANUAL
    )


def new_waiter(run: Mapping[str, Any], request: SimpleRequest | FullRequest) -> Waiter:
    """A run as it stands in line, or would stand if it had to wait from now on.

    Args:
        run: a flow run as Prefect's API shows it.
        request: what it is to capture.
    """
    now = datetime.now(UTC)
    return Waiter(
        name=str(run["id"]),
        priority=priority_of(run),
        since=_time(run["labels"].get(SINCE)) or now,
        wakes=now,
        holds=timedelta(seconds=request.time_limit if isinstance(request, FullRequest) else 0),
    )


def marks_of(waiter: Waiter) -> dict[str, int | float | str]:
    """The labels by which a run shows the others how it waits; `waiter_of` reads them."""
    return {
        SINCE: waiter.since.isoformat(),
        PRIORITY: int(waiter.priority),
        HOLDS: waiter.holds.total_seconds(),
    }


def waiter_of(run: Mapping[str, Any]) -> Waiter:
    """A run that is in line, from its labels and its state.

    Args:
        run: a flow run as Prefect's API shows it.
    """
    labels, state = run.get("labels") or {}, run.get("state") or {}
    scheduled = (state.get("state_details") or {}).get("scheduled_time")
    now = datetime.now(UTC)
    return Waiter(
        name=str(run["id"]),
        priority=Priority(int(labels.get(PRIORITY, Priority.SCHEDULE))),
        since=_time(labels.get(SINCE)) or now,
        wakes=_time(scheduled) or _time(state.get("timestamp")) or now,
        holds=timedelta(seconds=float(labels.get(HOLDS, 0))),
    )


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None
