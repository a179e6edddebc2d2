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
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound

from tasks.runtime.compat import forget_process
from tasks.runtime.restart_policy import WAITING
from tasks.runtime.retry import retry_prefect
from tasks.runtime.states import set_state
from tasks.runtime.warm_runner import MAX_WAIT_IN_PROCESS

# All of them begin with `tasks.runtime.restart_policy.WAITING`.
WAITING_FOR_LANE = "WaitingForLane"
WAITING_FOR_CAPTURE = "WaitingForCapture"
WAITING_FOR_WORKER = "WaitingForWorker"  # to be taken up again after a crash

MAX_INLINE_WAIT = 20.0  # seconds; shorter waits are not worth a new process
# Seconds for the first run in line. A new process may start late on a busy machine, and the lane would stand
# idle until then. This costs one process a lane.
MAX_INLINE_WAIT_OF_FIRST = 65.0
# A run is taken up this long before its time: until then it reads what it needs. Workers look ten seconds
# ahead, so its process is there. Earlier, it would look at its lane once in vain.
LEAD = timedelta(seconds=0.5)
PREFETCH = timedelta(seconds=20)  # twice as far as workers look ahead; a run due sooner may be starting


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a step returns instead of its result when it has to wait.

    Attributes:
        name: of the state that the run is in meanwhile.
        at: when to go on, aware, on this machine's clock.
        reason: what it waits for, in one line.
    """

    name: str
    at: datetime
    reason: str


def this_flow_run() -> FlowRun:
    """The flow run that is being worked on, as it was when this process took it up.

    Raises:
        RuntimeError: there is none.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("no flow run is being worked on")
    return context.flow_run


def max_inline_wait(run: FlowRun, *, is_first: bool = False) -> float:
    """How many seconds a run may wait in its process; for ever if no worker can take it up again.

    Args:
        run: the run.
        is_first: whether it is the next in line.
    """
    if not run.deployment_id or not run.work_queue_id:
        return math.inf
    return max(MAX_INLINE_WAIT_OF_FIRST if is_first else MAX_INLINE_WAIT, MAX_WAIT_IN_PROCESS.get())


async def mark_waiting(run_id: UUID, waiting: Waiting) -> None:
    """Show in the run's state what it waits for while it keeps its process, unless it is cancelled."""
    details = StateDetails(scheduled_time=waiting.at)
    state = State[None](
        type=StateType.RUNNING, name=waiting.name, message=waiting.reason, state_details=details
    )
    async with get_client() as client:
        await set_state(client, run_id, state)


async def mark_running(run_id: UUID) -> None:
    """Show in the run's state that it runs again, unless it is cancelled."""
    async with get_client() as client:
        await set_state(client, run_id, State[None](type=StateType.RUNNING, name="Running"))


async def reschedule(client: PrefectClient, run_id: UUID, waiting: Waiting) -> State[Any]:
    """Give up the run's process and schedule the run anew, unless it is cancelled.

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
    """Schedule a run that sleeps past `at` for that time.

    A run that may be starting already is left alone: it would get two processes.

    Returns:
        Whether it was rescheduled. One that was cancelled or deleted meanwhile was not.
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
    """The name of the state that the run gets: never one that means a person's new start."""
    name = state.name or ""
    return name if name.startswith(WAITING) else WAITING_FOR_LANE
