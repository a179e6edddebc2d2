"""A flow that gives its run back, due at once, some seconds before its process ends."""

import time
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run as this_run
from prefect.states import Scheduled

from tasks.runtime.compat import Abort

SECONDS = 6  # three looks of a worker


@flow
async def gives_back() -> None:
    """Complete in the second life."""
    async with get_client() as client:
        run = await client.read_flow_run(UUID(this_run.id))
        if run.run_count > 1:
            return
        await client.set_flow_run_state(run.id, Scheduled())
    time.sleep(SECONDS)  # noqa: ASYNC251 - nothing else is to go on here
    raise Abort
