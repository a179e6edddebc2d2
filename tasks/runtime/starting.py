"""Starting a run that is due at once: in the warm process, or by a worker if that one is away or busy.

See `tasks.runtime.warm_runner` for when such a run is scheduled.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateDetails, StateType
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus
from prefect.states import Pending, Scheduled

from tasks.runtime.warm_runner import HEAD_START, OUT_OF_SIGHT, tell


async def start_now(client: PrefectClient, run: FlowRun) -> None:
    """Have a run that waits to be started begin now. One that began before, or has ended, stays as it is."""
    if not is_due(run):
        return
    if not await tell(run.id) and _left(run) > OUT_OF_SIGHT:
        await client.set_flow_run_state(run.id, Scheduled())


async def claim(client: PrefectClient, run: FlowRun) -> bool:
    """Take a run that is due for this process; False if it is not due, or another process was faster."""
    if not is_due(run):
        return False
    # Prefect lets the time of a Pending state take the place of the scheduled one. If the run were first
    # scheduled for now, a worker could see it in between, and would log that it aborts its submission.
    now: State[Any] = Pending(state_details=StateDetails(scheduled_time=datetime.now(UTC)))
    claimed: OrchestrationResult[Any] = await client.set_flow_run_state(run.id, now)
    if claimed.status != SetStateStatus.ACCEPT:
        return False  # a worker was faster, or the run may not start now
    run.state = claimed.state
    return True


def is_due(run: FlowRun) -> bool:
    """Whether a run waits to be started, and not for a later time."""
    return run.state is not None and run.state.type == StateType.SCHEDULED and _left(run) <= HEAD_START


def _left(run: FlowRun) -> timedelta:
    at = run.state.state_details.scheduled_time if run.state else None
    return timedelta(seconds=at.timestamp() - time.time()) if at else timedelta(0)
