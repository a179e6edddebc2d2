"""The line in front of a lane, as Prefect's flow runs: a run that waits carries a tag and labels.

A run is found by its tag, whatever its state is called at the moment: `WaitingForLane`, `Late` because its
worker was, or `Pending` because it is just being taken up again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType

from edgecap.captures.lanes import Kind
from edgecap.captures.queue import Waiter, in_order, lane_tag
from tasks.runtime.find_runs import find_runs, in_state
from tasks.runtime.lane_waiters import marks_of, waiter_of
from tasks.runtime.suspend import wake

_MAY_WAIT = in_state(StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING)


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
        """Show the other runs that this one waits, since when, and how urgent it is."""
        if self.tag in run.tags:
            return
        async with get_client() as client:
            await client.update_flow_run_labels(run.id, marks_of(waiter))
            await client.update_flow_run(run.id, tags={*run.tags, self.tag})
        run.tags.append(self.tag)

    async def leave(self, run: FlowRun) -> None:
        """Show the other runs that this one waits no longer."""
        if self.tag in run.tags:
            run.tags.remove(self.tag)
            async with get_client() as client:
                await client.update_flow_run(run.id, tags=run.tags)

    async def others(self, myself: str) -> list[Waiter]:
        """All that wait, except for this run."""
        async with get_client() as client:
            return [as_waiter(run) for run in await self._runs(client) if str(run.id) != myself]

    async def call_next(self, *, at: datetime, patience: timedelta, urgent_went: bool = False) -> None:
        """Wake the next run in line for the time when the lane is free, if it would sleep longer.

        Args:
            at: when, aware, on this machine's clock.
            patience: a run that has waited this long is urgent.
            urgent_went: whether the last turn went to an urgent one.
        """
        async with get_client() as client:
            runs = {str(run.id): run for run in await self._runs(client)}
            now = datetime.now(UTC)
            order = in_order(
                map(as_waiter, runs.values()), now=now, patience=patience, urgent_went=urgent_went
            )
            for first in order[:1]:
                await wake(client, runs[first.name], at=at)

    async def _runs(self, client: PrefectClient) -> list[FlowRun]:
        return await find_runs(client, tags={"all_": [self.tag]}, state=_MAY_WAIT)


def as_waiter(run: FlowRun) -> Waiter:
    """A run that is in line, from what it left in its labels and its state."""
    return waiter_of(run.model_dump(mode="json", include={"id", "labels", "state"}))
