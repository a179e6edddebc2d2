"""Running a step of a flow, and suspending the flow run each time the step asks to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import ParamSpec, TypeVar
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.runtime import deployment
from prefect.runtime import flow_run as this_run

from edgecap.captures.outages import WAITING_FOR_ARCHIVE, WAITING_FOR_BUCKET, WAITING_FOR_CLOUDFLARE, may_pass
from edgecap.errors import EdgecapError
from edgecap.requests import rfc3339
from tasks.runtime.cancelling import RUNS
from tasks.runtime.compat import Abort, gives_back
from tasks.runtime.outage import wait_out
from tasks.runtime.states import CANCELS
from tasks.runtime.suspend import (
    Waiting,
    mark_running,
    mark_waiting,
    max_inline_wait,
    reschedule,
    this_flow_run,
)

_OUTAGES = (WAITING_FOR_CLOUDFLARE, WAITING_FOR_ARCHIVE, WAITING_FOR_BUCKET)

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def run_or_suspend(
    step: Callable[_P, Awaitable[_T | Waiting]], *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    """Run `step`, suspending the flow run each time it asks to wait, or while a service is away.

    Raises:
        Abort: the wait is long, so the run is rescheduled, and this process has nothing more to do.
        EdgecapError: what the step failed with.
    """
    return await _until_done(partial(step, *args, **kwargs), accepted=False)


async def run_or_suspend_accepted(
    step: Callable[_P, Awaitable[_T | Waiting]], *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    """The same for a step after a capture was accepted: it also waits for a token to work again."""
    return await _until_done(partial(step, *args, **kwargs), accepted=True)


async def _until_done(step: Callable[[], Awaitable[_T | Waiting]], *, accepted: bool) -> _T:
    stayed = False
    while True:
        try:
            outcome = await step()
        except EdgecapError as error:
            if not may_pass(error, accepted=accepted, unattended=deployment.id is not None):
                raise
            outcome = await wait_out(this_run.id, error)
        if not isinstance(outcome, Waiting):
            if stayed:
                await mark_running(UUID(this_run.id))
            return outcome
        if outcome.name in _OUTAGES and _may_stay(outcome):
            get_run_logger().warning("%s; asked again at %s", outcome.reason, rfc3339(outcome.at))
            await mark_waiting(UUID(this_run.id), outcome)
            await asyncio.sleep(max(0.0, (outcome.at - datetime.now(UTC)).total_seconds()))
            stayed = True
            continue
        at = rfc3339(outcome.at)
        get_run_logger().info("%s; this process ends, a worker goes on at %s", outcome.reason, at)
        async with get_client() as client:
            state = await reschedule(client, UUID(this_run.id), outcome)
        if state.type in CANCELS and this_run.id in RUNS:
            # No worker takes the run up: this process stops the capture, which ends this task.
            RUNS[this_run.id].cancel()
            await asyncio.Event().wait()
        gives_back(this_run.id)
        raise Abort(outcome.reason)


def _may_stay(waiting: Waiting) -> bool:
    """Whether the run keeps its process: the wait is short, or no worker could take the run up."""
    return (waiting.at - datetime.now(UTC)).total_seconds() <= max_inline_wait(this_flow_run())
