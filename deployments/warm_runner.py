"""A warm process for alerts: it takes up a run at once, where a worker needs seconds to start a process.

A run is first made in Prefect; then this process is told of it. It claims the run by setting it to Pending,
which Prefect lets only one process do. If this process is away, a worker claims the run two seconds later, so
only speed depends on it. If it dies, all its runs die: the next one starts `reconcile`, which takes them up.

All runs share one event loop and two clients of Prefect: its engine asks for some things synchronously. To
make a client takes 18 ms of processor, and a run would make four.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import stamina
import uvicorn
from prefect.client.orchestration import get_client
from prefect.context import AsyncClientContext, SyncClientContext
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.local.processes import LOOPBACK
from deployments.project import PROJECT
from flows.capture import capture
from flows.respond import respond
from tasks.runtime.compat import Abort, Pause, run_here
from tasks.runtime.recovery import start_reconcile_for_dead
from tasks.runtime.retry import PREFECT_AWAY
from tasks.runtime.starting import claim
from tasks.runtime.warm_runner import ADDRESS, MAX_WAIT_IN_PROCESS, START_HERE

MAX_WAIT = 300.0  # seconds that a run may wait in here, since it costs no process of its own
_AGAIN = 5.0  # seconds
AT_ONCE = 32  # runs; the workers take further ones
_FLOWS: dict[str, Any] = {
    "flows/capture.py:capture": capture,
    "flows/respond.py:respond": respond,
}
_log = logging.getLogger("edgecap.warm_runner")


class WarmRunner:
    """The runs that this process works on."""

    def __init__(self) -> None:
        self._working: dict[UUID, asyncio.Task[None]] = {}
        self._context = contextvars.copy_context()  # of the runs

    def __repr__(self) -> str:
        return f"<WarmRunner [{len(self._working)} runs]>"

    def application(self) -> Starlette:
        """The ASGI application: `POST /runs/<id>` and `GET /healthz`."""
        return Starlette(
            routes=[
                Route("/runs/{run_id:uuid}", self._told, methods=["POST"]),
                Route("/healthz", self._health),
            ],
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        MAX_WAIT_IN_PROCESS.set(MAX_WAIT)
        START_HERE.set(self.start)
        with SyncClientContext.get_or_create():
            async with AsyncClientContext.get_or_create():
                self._context = contextvars.copy_context()
                former = asyncio.create_task(_see_to_former_runs(), name="former runs")
                try:
                    yield
                finally:
                    former.cancel()
                    # Prefect ends this process by an exception, which cancels all tasks, this one too. The
                    # clients must stay open until the runs have told their last state.
                    await self._end_all()

    async def _end_all(self) -> None:
        for task in self._working.values():
            if not task.cancelling():  # a second time would end its clean-up
                task.cancel()
        await asyncio.gather(*self._working.values(), return_exceptions=True)

    def start(self, run_id: UUID) -> bool:
        """Begin to work on a run that is due; False if this process is busy."""
        if run_id in self._working:
            return True
        if len(self._working) >= AT_ONCE:
            return False
        # Each run has a copy of the process's context, not of that of the run which started it.
        task = asyncio.create_task(self._work(run_id), name=str(run_id), context=self._context.copy())
        self._working[run_id] = task
        task.add_done_callback(lambda _: self._working.pop(run_id, None))
        return True

    async def _told(self, request: Request) -> Response:
        run_id: UUID = request.path_params["run_id"]
        if self.start(run_id):
            return JSONResponse({"run": str(run_id)}, status_code=202)
        return JSONResponse({"error": "busy"}, status_code=503)

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"working": len(self._working)})

    async def _work(self, run_id: UUID) -> None:
        try:
            async with get_client() as client:
                run = await client.read_flow_run(run_id)
                if not run.deployment_id:
                    return
                deployment = await client.read_deployment(run.deployment_id)
                flow = _FLOWS.get(deployment.entrypoint or "")
                if flow is None or not await claim(client, run):
                    return
            await run_here(flow, run)
        except (ObjectNotFound, Abort, Pause):
            return  # it is deleted, gave itself back to be taken up later, or was suspended
        except Exception as error:  # noqa: BLE001 - the run must not look alive, whatever the error
            _log.exception("run %s ended in this process", run_id)
            await _mark_crashed(run_id, type(error).__name__)


async def _see_to_former_runs() -> None:
    """Have the runs of a former process that died taken up. Retries until Prefect answers."""
    waits = {"wait_initial": _AGAIN, "wait_max": _AGAIN, "wait_jitter": 0}
    async for attempt in stamina.retry_context(on=PREFECT_AWAY, attempts=None, timeout=None, **waits):
        with attempt, contextlib.suppress(ObjectNotFound):  # nothing is deployed yet
            async with get_client() as client:
                if await start_reconcile_for_dead(client):
                    _log.info("runs were left when their process died: reconcile is started")


async def _mark_crashed(run_id: UUID, why: str) -> None:
    """Set a run to crashed, so that it is taken up again: its recorded process, this one, is still alive.

    Retries until Prefect answers. A run that is over stays as it is.
    """
    waits = {"wait_initial": _AGAIN, "wait_max": _AGAIN, "wait_jitter": 0}
    async for attempt in stamina.retry_context(on=PREFECT_AWAY, attempts=None, timeout=None, **waits):
        with attempt:
            async with get_client() as client:
                run = await client.read_flow_run(run_id)
                if run.state and not run.state.is_final() and not run.state.is_scheduled():
                    await client.set_flow_run_state(
                        run_id, Crashed(message=f"the warm process could not go on with it: {why}")
                    )


def main() -> None:
    """Serve until SIGTERM, on the address in `EDGECAP_WARM_RUNNER`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    port = int(os.environ[ADDRESS].rsplit(":", 1)[1])
    os.chdir(PROJECT)
    uvicorn.run(
        WarmRunner().application(),
        host=LOOPBACK,
        port=port,
        loop="asyncio",  # as in a run's own process
        log_level="warning",
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
