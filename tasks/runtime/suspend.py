"""Waiting without a process: a run that has long to wait gives it back, and a worker takes the run up again.

While it waits, its state says for what and until when. A run that no worker could take up again, because it
was started from a command line, waits in its process; so does one whose time has almost come, since starting
a process takes seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateDetails, StateType
from prefect.exceptions import ObjectNotFound

from tasks.runtime.compat import forget_process
from tasks.runtime.restart_policy import WAITING
from tasks.runtime.retry import retry_prefect
from tasks.runtime.states import set_state
from tasks.runtime.warm_runner import KEEPS_PROCESS

# All of them begin with `tasks.runtime.restart_policy.WAITING`.
WAITING_FOR_LANE = "WaitingForLane"
WAITING_FOR_CAPTURE = "WaitingForCapture"
WAITING_FOR_WORKER = "WaitingForWorker"  # to be taken up again after a crash

MAX_INLINE_WAIT = 20.0  # seconds; shorter waits are not worth a new process
# Who is first in line may wait so long: its new process could have to wait for those that start before it,
# and the lane with it. That is one process a lane.
PATIENCE_OF_THE_FIRST = 65.0
LEAD = timedelta(seconds=3)  # a run is taken up so much before its time: what is left is waited for exactly
PREFETCH = timedelta(seconds=20)  # twice what workers look ahead: who wakes sooner may be starting already


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a step returns instead of its result when it has long to wait.

    Attributes:
        name: of the state that the run is in meanwhile.
        at: when to go on, aware, on this machine's clock.
        reason: for what it waits, in one line.
    """

    name: str
    at: datetime
    reason: str


def patience(run: FlowRun, *, is_first: bool = False) -> float:
    """For how many seconds a run should keep its process: for ever, if no worker can take it up again.

    Args:
        run: the run.
        is_first: whether it is the next in line.
    """
    if not run.deployment_id or not run.work_queue_id:
        return math.inf
    return max(PATIENCE_OF_THE_FIRST if is_first else MAX_INLINE_WAIT, KEEPS_PROCESS.get())


async def mark_waiting(run_id: UUID, waiting: Waiting) -> None:
    """Let the run's state say what it waits for, while it keeps its process, unless it is cancelled."""
    details = StateDetails(scheduled_time=waiting.at)
    state = State[None](
        type=StateType.RUNNING, name=waiting.name, message=waiting.reason, state_details=details
    )
    async with get_client() as client:
        await set_state(client, run_id, state)


async def mark_running(run_id: UUID) -> None:
    """Let the run's state say again that it runs, unless it is cancelled."""
    async with get_client() as client:
        await set_state(client, run_id, State[None](type=StateType.RUNNING, name="Running"))


async def reschedule(client: PrefectClient, run_id: UUID, waiting: Waiting) -> State[Any]:
    """Schedule the run anew, without a process until then, unless it is cancelled.

    Returns:
        The state that the run has then.
    """
    await retry_prefect(forget_process, client, run_id)
    return await sleep_until(client, run_id, waiting)


async def sleep_until(client: PrefectClient, run_id: UUID, waiting: Waiting) -> State[Any]:
    """Reschedule a run that has no process, unless it is cancelled; returns the state that it has then."""
    wake = max(datetime.now(UTC), waiting.at - LEAD)
    state = State[None](
        type=StateType.SCHEDULED,
        name=waiting.name,
        message=waiting.reason,
        state_details=StateDetails(scheduled_time=wake),
    )
    return await set_state(client, run_id, state)


async def wake(client: PrefectClient, run: FlowRun, *, at: datetime) -> bool:
    """Let a run that sleeps past `at` be taken up at that time.

    A run that may be starting already is left alone: two processes would come of it.

    Returns:
        Whether it was told. One that was cancelled or deleted meanwhile was not.
    """
    state = run.state
    if state is None or state.type != StateType.SCHEDULED or not state.state_details.scheduled_time:
        return False
    if state.state_details.scheduled_time <= max(at, datetime.now(UTC)) + PREFETCH:
        return False
    waiting = Waiting(_name_of(state), at, state.message or "")
    try:
        return (await sleep_until(client, run.id, waiting)).type == StateType.SCHEDULED
    except ObjectNotFound:
        return False


def _name_of(state: State[Any]) -> str:
    """The name under which a run that sleeps is scheduled anew: never one that a person's new start has."""
    name = state.name or ""
    return name if name.startswith(WAITING) else WAITING_FOR_LANE
