"""Which failures are worth another try, and how long to wait between tries: one list and one policy."""

from __future__ import annotations

from typing import Any

import httpx
import stamina
from prefect.cache_policies import INPUTS, RUN_ID
from prefect.client.schemas.objects import State, TaskRun
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.exceptions import PrefectHTTPStatusError
from prefect.tasks import Task

from edgecap.captures.outages import AWAY
from edgecap.errors import EdgecapError, ObjectChanged

PASSING = (*AWAY, ObjectChanged)
"""Failures that may be gone in a minute. Everything else ends the run at once, with its reason."""

PREFECT_AWAY = (httpx.TransportError, ConcurrencySlotAcquisitionError, PrefectHTTPStatusError)
"""The Prefect server does not answer, or not now: it is being restarted, or its database is locked."""

# Retries, and the seconds before the first and the last of them, doubling: four minutes in all.
TRIES, FIRST, MOST = 8, 2.0, 60.0
DELAYS: list[float] = [min(MOST, FIRST * 2**number) for number in range(TRIES)]
"""The same waits for Prefect's own retries of a task."""
SOON = 4  # retries, within 30 s

ONCE_A_RUN = INPUTS - "order" - "intent" + RUN_ID
"""The cache key of a task whose result later lives of its run take over.

A run has one order, and a capture one intent: they tell nothing more, and a new field in them would make a
run that is taken up again fetch its packets again. The names of a task's other arguments tell it from others.
"""

retry_prefect = stamina.AsyncRetryingCaller(
    attempts=TRIES + 1, timeout=None, wait_initial=FIRST, wait_max=MOST, wait_jitter=0
).on(PREFECT_AWAY)
"""Await a function of the Prefect server with its arguments, and retry for minutes if that does not answer.

For what a flow does outside of tasks, which have retries of their own.
"""


async def passing_soon(task: Task[Any, Any], task_run: TaskRun, state: State[Any]) -> bool:
    """`passing`, but the flow waits for a service that stays away for longer than half a minute.

    The flow can wait without a process (`run_or_suspend`). That takes Prefect's server, so a task of a flow
    waits for that server itself.
    """
    if not await passing(task, task_run, state):
        return False
    try:
        await state.aresult()
    except EdgecapError:
        return task_run.run_count <= SOON
    except Exception:  # noqa: BLE001 - it passes, as it was just said
        return True
    return False


async def passing(task: Task[Any, Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect's
    """Whether a task failed for a reason that may pass. Every task has it as its `retry_condition_fn`."""
    try:
        await state.aresult()
    except PASSING as error:
        return not error.permanent
    except PREFECT_AWAY:
        return True
    except Exception:  # noqa: BLE001 - nothing else passes by waiting
        return False
    return False
