"""Runs that end before they are over: a person suspends one, or one waits without a process."""

import asyncio
import logging
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run as this_run
from prefect.states import Pending, Scheduled, Suspended

from tasks.runtime.cancelling import Watched, unless_cancelled
from tasks.runtime.compat import Abort, Pause, run_here
from tasks.runtime.run_or_suspend import run_or_suspend
from tasks.runtime.suspend import WAITING_FOR_LANE, Waiting

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

threads = set()


@task
async def tick() -> None:
    """One step."""
    threads.update(thread.name for thread in threading.enumerate())


@flow
async def ticks() -> None:
    """Step after step, and the first one suspends the run."""

    async def work():
        await tick()
        async with get_client() as client:
            await client.set_flow_run_state(UUID(this_run.id), Suspended(timeout_seconds=600))
        while True:
            await tick()
            await asyncio.sleep(0.1)

    await unless_cancelled(Watched(str(this_run.id), ""), work())


async def test_a_suspended_run_ends_before_its_next_task(prefect_server, deployment):
    async with get_client() as client:
        run = await client.create_flow_run_from_deployment(deployment, state=Scheduled())
        await client.set_flow_run_state(run.id, Pending())
        with pytest.raises(Pause):
            async with asyncio.timeout(240):
                await run_here(ticks, await client.read_flow_run(run.id))
        state = (await client.read_flow_run(run.id)).state
    assert (state.type, state.name) == (StateType.PAUSED, "Suspended")
    assert not [name for name in threads if "observer" in name], "Prefect's own watch stops the event loop"


@flow
async def waits() -> None:
    """Give the run back."""

    async def step() -> Waiting:
        return Waiting(WAITING_FOR_LANE, datetime.now(UTC) + timedelta(hours=1), "Waiting for the full lane")

    await run_or_suspend(step)


async def test_a_run_that_waits_without_a_process_logs_no_error(prefect_server, deployment, caplog):
    async with get_client() as client:
        run = await client.create_flow_run_from_deployment(deployment, state=Scheduled())
        await client.set_flow_run_state(run.id, Pending())
        with pytest.raises(Abort):
            await run_here(waits, await client.read_flow_run(run.id))
        state = (await client.read_flow_run(run.id)).state
    assert (state.type, state.name) == (StateType.SCHEDULED, WAITING_FOR_LANE)
    assert "a worker goes on at" in caplog.text
    assert not [record.message for record in caplog.records if record.levelno >= logging.ERROR]
