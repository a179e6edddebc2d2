"""One `reconcile` at a time: a run that is not needed ends at once, and one that changed nothing is deleted.

Several events can start runs at the same moment. The first works. Of those that start meanwhile, one waits
for it and looks afterwards; the others end at once.
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

NOTHING_NEW = "NothingNew"  # the name of the state of a run that changed nothing, or left the work to another
PATIENCE = 10.0  # seconds of waiting; then two work at once, which does no harm: a capture may need stopping
LOOKING = "edgecap.reconcile.looking"  # the label of a run that has begun to look
_OVERDUE = timedelta(minutes=1)  # a worker that runs takes a run up sooner
_PAUSE = 0.5


async def take_turn(run_id: str, *, patience: float = PATIENCE) -> str | None:
    """Wait until no earlier `reconcile` is at work, and show that this one looks now.

    Args:
        run_id: of the running flow run.
        patience: seconds to wait; then it looks beside the other.

    Returns:
        The id of another run that is about to look, so that this one need not; None if this one is to look.
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
    """Whether another `reconcile` waits for this one to end, and looks then."""
    async with get_client() as client:
        return any(_is_about_to_look(run) for run in await _running(client) if str(run.id) != run_id)


async def forget_quiet(run_id: str) -> None:
    """Delete earlier runs that changed nothing, so that the Runs page shows captures."""
    await retry_prefect(_forget_quiet, run_id)


async def forget_overdue(run_id: str) -> None:
    """Delete runs of this deployment that were due while no worker ran: this run does their work.

    After a weekend without a worker there are hundreds, and each would start a process that ends at once.
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
    """Whether it has not begun to look and will. One that is too old may be dead on another machine."""
    age = datetime.now(UTC) - run.start_time if run.start_time else timedelta(0)
    return LOOKING not in run.labels and age < timedelta(seconds=3 * PATIENCE)


def _place(run: FlowRun) -> tuple[str, str]:
    return (run.start_time.isoformat() if run.start_time else "", str(run.id))
