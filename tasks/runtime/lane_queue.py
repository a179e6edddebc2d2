"""The line in front of a lane, as Prefect's flow runs: who waits carries a tag, and how long in labels.

A run is found by its tag, whatever its state is called at the moment: `WaitingForLane`, `Late` because its
worker was, or `Pending` because it is just being taken up again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType

from edgecap.captures.lanes import Kind
from edgecap.captures.queue import HOLDS, PRIORITY, SINCE, Priority, Waiter, in_order, lane_tag
from edgecap.requests import FullRequest, SimpleRequest
from tasks.runtime.suspend import wake

ALERT = "alert"  # the tag of runs that an alert started, in whatever queue
_PAGE = 200  # runs; what Prefect answers at most
_MAY_WAIT = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]
_QUEUES = {"alerts": Priority.ALERT, "manual": Priority.MANUAL, "schedules": Priority.SCHEDULE}


def waiter_of(run: FlowRun, request: SimpleRequest | FullRequest) -> Waiter:
    """A run as it stands in line, or would stand if it had to wait from now on."""
    now = datetime.now(UTC)
    since = run.labels.get(SINCE)
    holds = request.time_limit if isinstance(request, FullRequest) else 0
    return Waiter(
        name=str(run.id),
        priority=priority_of(run),
        since=datetime.fromisoformat(str(since)) if since else now,
        wakes=now,
        holds=timedelta(seconds=holds),
    )


def priority_of(run: FlowRun) -> Priority:
    """What a run is for: an alert, a schedule, or else a person, by its tags and its work queue."""
    if ALERT in run.tags:
        return Priority.ALERT
    if run.work_queue_name in _QUEUES:
        return _QUEUES[run.work_queue_name]
    return Priority.SCHEDULE if run.auto_scheduled else Priority.MANUAL


class Queue:
    """The flow runs that wait for one lane.

    Args:
        kind: the lane's type.
        lanes: what the account's lanes are known by (`Account.lanes`).
    """

    def __init__(self, kind: Kind, lanes: str) -> None:
        self.tag = lane_tag(kind, lanes)

    def __repr__(self) -> str:
        return f"<Queue {self.tag}>"

    async def join(self, run: FlowRun, waiter: Waiter) -> None:
        """Let the others see that this run waits, since when, and how urgent it is."""
        if self.tag in run.tags:
            return
        labels: dict[str, int | float | str] = {
            SINCE: waiter.since.isoformat(),
            PRIORITY: int(waiter.priority),
            HOLDS: waiter.holds.total_seconds(),
        }
        async with get_client() as client:
            await client.update_flow_run_labels(run.id, labels)
            await client.update_flow_run(run.id, tags={*run.tags, self.tag})
        run.tags.append(self.tag)

    async def leave(self, run: FlowRun) -> None:
        """It waits no longer."""
        if self.tag in run.tags:
            run.tags.remove(self.tag)
            async with get_client() as client:
                await client.update_flow_run(run.id, tags=run.tags)

    async def others(self, myself: str) -> list[Waiter]:
        """Who waits, but this run."""
        async with get_client() as client:
            return [_waiter(run) for run in await self._runs(client) if str(run.id) != myself]

    async def call_next(self, *, at: datetime, patience: timedelta, urgent_went: bool = False) -> None:
        """Tell whoever goes next that the lane will be free, if it sleeps past that.

        Args:
            at: when, aware, on this machine's clock.
            patience: who has waited so long counts as urgent.
            urgent_went: whether the last turn went to an urgent one.
        """
        async with get_client() as client:
            runs = {str(run.id): run for run in await self._runs(client)}
            now = datetime.now(UTC)
            order = in_order(map(_waiter, runs.values()), now=now, patience=patience, urgent_went=urgent_went)
            for first in order[:1]:
                await wake(client, runs[first.name], at=at)

    async def _runs(self, client: PrefectClient) -> list[FlowRun]:
        wanted = FlowRunFilter(
            tags=FlowRunFilterTags(all_=[self.tag]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_MAY_WAIT)),
        )
        found: list[FlowRun] = []
        while True:
            page = await client.read_flow_runs(flow_run_filter=wanted, limit=_PAGE, offset=len(found))
            found += page
            if len(page) < _PAGE:
                return found


def _waiter(run: FlowRun) -> Waiter:
    """A run that is in line, from what it left in its labels and its state."""
    now = datetime.now(UTC)
    wakes = since = now
    if run.state:
        wakes = run.state.state_details.scheduled_time or run.state.timestamp or now
    if text := run.labels.get(SINCE):
        since = datetime.fromisoformat(str(text))
    priority = Priority(int(run.labels.get(PRIORITY, Priority.SCHEDULE)))
    return Waiter(str(run.id), priority, since, wakes, timedelta(seconds=float(run.labels.get(HOLDS, 0))))
