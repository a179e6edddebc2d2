"""A run that a person suspends in Prefect's UI: edgecap's own watch sees it, and Prefect's does not run."""

import asyncio
import threading
from uuid import UUID

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run as this_run
from prefect.states import Pending, Scheduled, Suspended

from tasks.runtime.cancelling import Watched, unless_cancelled
from tasks.runtime.compat import Pause, run_here

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
