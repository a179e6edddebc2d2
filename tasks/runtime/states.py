"""Setting a run's state: the one way, which never undoes a cancel.

Prefect sets a state whatever the run's state has become meanwhile, `CANCELLED` too, and a busy server does
so seconds after it was decided. So the history is read after each write. If the write has gone over a cancel,
the run is cancelled again. If this process dies before that, `restart_policy.is_to_end` still sees it.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State, StateType

from tasks.runtime.restart_policy import RunState, is_to_end
from tasks.runtime.retry import retry_prefect

CANCELS = (StateType.CANCELLING, StateType.CANCELLED)


async def set_state(client: PrefectClient, run_id: UUID, state: State[None]) -> State[Any]:
    """Set a run's state, unless the run is cancelled. Retries for minutes while Prefect is away.

    Do not retry a call of this: it would write the state a second time, over the states that followed it.

    Returns:
        The state that the run has then. It is another one if the run is cancelled, or if Prefect refuses.

    Raises:
        ObjectNotFound: the run is deleted.
    """
    await retry_prefect(client.set_flow_run_state, run_id, state)
    return await retry_prefect(_cancelled_still, client, run_id)


async def history_of_run(client: PrefectClient, run_id: UUID) -> list[RunState]:
    """The states that a run has had, in no particular order."""
    return [_as_run_state(state) for state in await client.read_flow_run_states(run_id)]


async def _cancelled_still(client: PrefectClient, run_id: UUID) -> State[Any]:
    """The run's state; the cancel is written again if the history has one that still counts."""
    history = await client.read_flow_run_states(run_id)
    # Read later than the history: a cancel that comes in between is not written over.
    now = await _state(client, run_id)
    if now.type in CANCELS or not is_to_end(map(_as_run_state, history)):
        return now
    last = max((state for state in history if state.type in CANCELS), key=lambda state: state.timestamp)
    again = State[None](type=last.type, name=last.name, message=last.message)
    await client.set_flow_run_state(run_id, again)
    return await _state(client, run_id)


async def _state(client: PrefectClient, run_id: UUID) -> State[Any]:
    state = (await client.read_flow_run(run_id)).state
    assert state is not None  # every run that is made has one
    return state


def _as_run_state(state: State[Any]) -> RunState:
    return RunState(state.type.value, state.timestamp, state.name or "")
