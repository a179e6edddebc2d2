"""Which failures of a task are worth another try, and how long to wait between tries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
from prefect.cache_policies import INPUTS, RUN_ID
from prefect.client.schemas.objects import State, TaskRun
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.exceptions import PrefectHTTPStatusError
from prefect.tasks import Task

from edgecap.errors import (
    EdgecapError,
    NetworkFailure,
    ObjectChanged,
    RateLimited,
    ServerFailure,
    StoreUnreachable,
    UnexpectedAnswer,
)

_T = TypeVar("_T")

PASSING = (NetworkFailure, ServerFailure, UnexpectedAnswer, RateLimited, StoreUnreachable, ObjectChanged)
"""What may be gone in a minute. Everything else ends the run at once, with its reason."""

PREFECT_AWAY = (httpx.TransportError, ConcurrencySlotAcquisitionError, PrefectHTTPStatusError)
"""The Prefect server does not answer, or not now: it is being restarted, or its database is locked."""

DELAYS: list[float] = [2, 5, 10, 20, 40, 60, 60, 60]  # seconds; four minutes in all
TRIES = len(DELAYS)
SOON = 4  # tries again, within 37 s

ONCE_A_RUN = INPUTS - "order" - "intent" + RUN_ID
"""The cache key of a task whose result later lives of its run take over.

A run has one order, and a capture one intent: they tell nothing more, and a new field in them would make a
run that is taken up again fetch its packets again. The names of a task's other arguments tell it from others.
"""


async def retry_prefect(call: Callable[[], Awaitable[_T]]) -> _T:
    """Do something with the Prefect server, and try again for minutes if it does not answer.

    For what a flow does outside of tasks, which have tries of their own.
    """
    for delay in DELAYS:
        try:
            return await call()
        except PREFECT_AWAY:
            await asyncio.sleep(delay)
    return await call()


async def passing_soon(task: Task[Any, Any], task_run: TaskRun, state: State[Any]) -> bool:
    """`passing`, but a service of ours that is away for longer than half a minute is the flow's to wait for.

    It can do so without a process (`run_or_suspend`). Prefect's own server is needed for that, so it is not.
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
    """Whether the task failed for a reason that may pass: `retry_condition_fn` of every task here."""
    try:
        await state.aresult()
    except PASSING as error:
        return not error.permanent
    except PREFECT_AWAY:
        return True
    except Exception:  # noqa: BLE001 - whatever else it was, it will not pass by waiting
        return False
    return False
