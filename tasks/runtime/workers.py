"""Whether the worker that is starting a run is still alive."""

from __future__ import annotations

from datetime import datetime

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventOrder, EventResourceFilter
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from tasks.runtime.prefect_names import SUBMITTING, WORK_POOL, WORKER, WORKER_STARTED
from tasks.runtime.restart_policy import StartingWorker


class Workers:
    """What Prefect knows of the workers. Each worker is looked up once.

    Args:
        client: of the Prefect server.
    """

    def __init__(self, client: PrefectClient) -> None:
        self._client = client
        self._seen: dict[str, dict[str, datetime | None]] = {}
        self._started: dict[str, datetime | None] = {}

    async def starting(self, run: FlowRun) -> StartingWorker | None:
        """The worker that is starting a run; None if none is, or none has said so yet."""
        state = run.state
        if state is None or state.type != StateType.PENDING or state.name != SUBMITTING:
            return None  # its labels may be those of an earlier life
        name, pool = str(run.labels.get(WORKER, "")), str(run.labels.get(WORK_POOL, ""))
        if not name or not pool:
            return None
        seen = (await self._workers(pool)).get(name)
        return StartingWorker(seen, await self._start_of(name))

    async def _workers(self, pool: str) -> dict[str, datetime | None]:
        if pool not in self._seen:
            try:
                found = await self._client.read_workers_for_work_pool(pool)
            except ObjectNotFound:
                found = []
            self._seen[pool] = {worker.name: worker.last_heartbeat_time for worker in found}
        return self._seen[pool]

    async def _start_of(self, name: str) -> datetime | None:
        if name not in self._started:
            resource = {"prefect.resource.name": name}
            self._started[name] = await newest_event(self._client, WORKER_STARTED, resource)
        return self._started[name]


async def newest_event(client: PrefectClient, event: str, resource: dict[str, str]) -> datetime | None:
    """When the server received the newest event of this name about a resource, aware; None if it knows none.

    Args:
        client: of the Prefect server.
        event: its name.
        resource: labels that its resource has.
    """
    wanted = EventFilter(
        event=EventNameFilter(name=[event]),
        resource=EventResourceFilter(labels=ResourceSpecification(resource)),
        order=EventOrder.DESC,
    )
    found = (await client.read_events(wanted, limit=1)).events
    return found[0].received if found else None
