"""One `reconcile` at a time: those not needed leave at once, and those that changed nothing are forgotten.

Several events call for a run at the same moment. The first works; of those that come meanwhile one waits for
it and looks afterwards, and the others leave the looking to that one.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound

from tasks.runtime.find_runs import find_runs, in_state
from tasks.runtime.prefect_names import AUTO_SCHEDULED
from tasks.runtime.recovery import RECONCILE, process_is_gone
from tasks.runtime.retry import retry_prefect

NOTHING_NEW = "NothingNew"  # the state's name of a run that changed nothing, or left the looking to another
PATIENCE = 10.0  # seconds; longer, and two look at once, which does no harm: a capture may have to be stopped
LOOKING = "edgecap.reconcile.looking"  # the label of a run that has begun to look
_OVERDUE = timedelta(minutes=1)  # a worker that is at work takes a run up sooner
_PAUSE = 0.5


async def take_turn(run_id: str, *, patience: float = PATIENCE) -> str | None:
    """Wait until no `reconcile` that began earlier is at work, and say that this one looks now.

    Args:
        run_id: of the running flow run.
        patience: seconds; longer, and it looks beside the other.

    Returns:
        The id of a run that is about to look anyway, so that this one need not; None if this one is to look.
    """
    return await retry_prefect(_wait_for_turn, run_id, patience)


async def _wait_for_turn(run_id: str, patience: float) -> str | None:
    until = time.monotonic() + patience
    async with get_client() as client:
        while True:
            runs = await _running(client)
            me = next((run for run in runs if str(run.id) == run_id), None)
            earlier = [run for run in runs if me and _place(run) < _place(me)]
            if me and me.deployment_id:
                for run in earlier:
                    if _is_about_to_look(run) and run.parameters == me.parameters:
                        return str(run.id)
            if not earlier or time.monotonic() > until:
                await client.update_flow_run_labels(UUID(run_id), {LOOKING: True})
                return None
            await asyncio.sleep(_PAUSE)


async def is_awaited(run_id: str) -> bool:
    """Whether another `reconcile` waits for this one's end, to look itself."""
    async with get_client() as client:
        return any(_is_about_to_look(run) for run in await _running(client) if str(run.id) != run_id)


async def forget_quiet(run_id: str) -> None:
    """Delete the earlier runs of deployments that changed nothing, so that the Runs page is of captures."""
    await retry_prefect(_forget_quiet, run_id)


async def forget_overdue(run_id: str) -> None:
    """Delete scheduled runs of this deployment whose time went by while nobody worked: this run looks now.

    After a weekend without a worker there are hundreds, each of which would be a process that leaves at once.
    """
    await retry_prefect(_forget_overdue, run_id)


async def _forget_overdue(run_id: str) -> None:
    async with get_client() as client:
        me = await client.read_flow_run(UUID(run_id))
        if me.deployment_id is None:
            return
        runs = await find_runs(
            client,
            deployment_id={"any_": [me.deployment_id]},
            state=in_state(StateType.SCHEDULED),
            expected_start_time={"before_": datetime.now(UTC) - _OVERDUE},
            tags={"all_": [AUTO_SCHEDULED]},
        )
        await _delete(client, runs)


async def _forget_quiet(run_id: str) -> None:
    quiet = in_state(StateType.COMPLETED) | {"name": {"any_": [NOTHING_NEW]}}
    async with get_client() as client:
        runs = await find_runs(client, flows=[RECONCILE], state=quiet)
        await _delete(client, [run for run in runs if run.deployment_id and str(run.id) != run_id])


async def _delete(client: PrefectClient, runs: list[FlowRun]) -> None:
    for run in runs:
        with suppress(ObjectNotFound):  # another `reconcile` was faster
            await client.delete_flow_run(run.id)


async def _running(client: PrefectClient) -> list[FlowRun]:
    """The `reconcile` runs that have a living process, as far as can be told here."""
    runs = await find_runs(client, flows=[RECONCILE], state=in_state(StateType.RUNNING))
    return [run for run in runs if not process_is_gone(run)]


def _is_about_to_look(run: FlowRun) -> bool:
    """Whether it has not begun to look, and will: on another machine it may be dead."""
    age = datetime.now(UTC) - run.start_time if run.start_time else timedelta(0)
    return LOOKING not in run.labels and age < timedelta(seconds=3 * PATIENCE)


def _place(run: FlowRun) -> tuple[str, str]:
    return (run.start_time.isoformat() if run.start_time else "", str(run.id))
