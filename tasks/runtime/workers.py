"""The workers that take runs: whether the one that is starting a run still lives."""

from __future__ import annotations

from datetime import datetime

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventOrder, EventResourceFilter
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from tasks.runtime.restart_policy import Taker

_NAME, _POOL = "prefect.worker.name", "prefect.work-pool.name"
_SUBMITTING = "Submitting"  # the state's name once the worker has left its labels at the run


class Takers:
    """What is known of the workers, each looked up once.

    Args:
        client: of the Prefect server.
    """

    def __init__(self, client: PrefectClient) -> None:
        self._client = client
        self._seen: dict[str, dict[str, datetime | None]] = {}
        self._started: dict[str, datetime | None] = {}

    async def of(self, run: FlowRun) -> Taker | None:
        """The worker that is starting the run; None if it is not being started, or no worker says so."""
        state = run.state
        if state is None or state.type != StateType.PENDING or state.name != _SUBMITTING:
            return None  # its labels may be those of an earlier life
        name, pool = str(run.labels.get(_NAME, "")), str(run.labels.get(_POOL, ""))
        if not name or not pool:
            return None
        seen = (await self._workers(pool)).get(name)
        return Taker(seen, await self._start_of(name))

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
            event = "prefect.worker.started"
            self._started[name] = await newest_event(self._client, event, {"prefect.resource.name": name})
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
    answer = await client.request(
        "POST", "/events/filter", json={"filter": wanted.model_dump(mode="json"), "limit": 1}
    )
    answer.raise_for_status()
    found = answer.json()["events"]
    return datetime.fromisoformat(found[0]["received"]) if found else None
