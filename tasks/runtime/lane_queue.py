"""The line in front of a lane, as Prefect's flow runs: a run that waits carries a tag and labels.

A run is found by its tag, whatever its state is called at the moment: `WaitingForLane`, `Late` because its
worker was, or `Pending` because it is just being taken up again.

A run with others ahead sleeps until it is called. Each run that starts its capture calls the next two: the
first for the time when the lane is free again, and the second for the turn after that. So if a run dies
before it calls, the next one comes all the same. If more is lost, `reconcile` calls, and at last each run
comes by itself (`tasks.submit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound

from edgecap.captures.lanes import Kind
from edgecap.captures.queue import GRACE, LANES, Waiter, in_order, lane_tag, slot_name, turn_takes
from edgecap.clock import ServerClock
from edgecap.settings import Timing
from tasks.runtime.find_runs import find_rows, in_state
from tasks.runtime.lane_waiters import marks_of, waiter_of
from tasks.runtime.suspend import PREFETCH, wake
from tasks.runtime.variables import read_variable

_WAITS = (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING)
_CALLED = 2  # runs; how many are called at a time
# From the time when a lane is free to the POST of the run that was called for it. A run that is called for a
# later turn would look in vain without it.
_STARTS = timedelta(seconds=1)


class Queue:
    """The flow runs that wait for one lane.

    Args:
        kind: the lane's type.
        lanes: what the account's lanes are known by (`Account.lanes`).
    """

    def __init__(self, kind: Kind, lanes: str) -> None:
        self.tag = lane_tag(kind)
        self._lanes = lanes
        self._slot = slot_name(kind, lanes)

    def __repr__(self) -> str:
        return f"<Queue {self._slot}>"

    async def join(self, run: FlowRun, waiter: Waiter) -> None:
        """Show the other runs that this one waits, since when, and how urgent it is."""
        if self.tag in run.tags:
            return
        async with get_client() as client:
            await client.update_flow_run_labels(run.id, {**marks_of(waiter), LANES: self._lanes})
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
            return [waiter for waiter in await self._all(client) if waiter.name != myself]

    async def order(self, timing: Timing) -> list[Waiter]:
        """All that wait, in the order of their turns."""
        async with get_client() as client:
            waiters = await self._all(client)
            if len(waiters) < 2:  # noqa: PLR2004 - one alone is in order
                return waiters
            last = await read_variable(client, self._slot)
        urgent_went = isinstance(last, dict) and bool(last.get("urgent"))
        patience = timedelta(seconds=timing.urgent_after)
        return in_order(waiters, now=datetime.now(UTC), patience=patience, urgent_went=urgent_went)

    async def call(
        self, order: Sequence[Waiter], *, at: datetime, clock: ServerClock, timing: Timing
    ) -> None:
        """Wake the next two runs for their turns, if they would sleep longer.

        As elsewhere, runs that should have looked at the lane long ago do not count: their worker is down.

        Args:
            order: the runs that wait, in the order of their turns.
            at: when the lane is free, aware, on this machine's clock.
            clock: the server's.
            timing: how far apart turns are.
        """
        now = datetime.now(UTC)
        at = max(at, now)
        spacing, called = timedelta(seconds=timing.simple_spacing), 0
        async with get_client() as client:
            for waiter in order:
                if called == _CALLED:
                    return
                if waiter.wakes < now - GRACE:
                    continue
                if waiter.wakes > at + PREFETCH and not await self._wake(client, waiter, at):
                    continue
                called += 1
                at += clock.here(turn_takes(waiter, spacing)) + _STARTS

    async def _wake(self, client: PrefectClient, waiter: Waiter, at: datetime) -> bool:
        """Wake a run for a time; False if it waits no longer."""
        try:
            run = await client.read_flow_run(UUID(waiter.name))
        except ObjectNotFound:
            return False
        if self.tag not in run.tags or run.state is None or run.state.type not in _WAITS:
            return False
        scheduled = run.state.state_details.scheduled_time
        if run.state.type == StateType.SCHEDULED and scheduled and scheduled > at + PREFETCH:
            return await wake(client, run, at=at)
        return True  # it comes in time, or it has a process and looks by itself

    async def _all(self, client: PrefectClient) -> list[Waiter]:
        rows = await find_rows(client, tags={"all_": [self.tag]}, state=in_state(*_WAITS))
        return [waiter_of(row) for row in rows if row["labels"].get(LANES) == self._lanes]
