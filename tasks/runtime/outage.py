"""Waiting for a service that is away, without a process where a worker can take the run up again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun

from edgecap.captures.outages import Outage, another_failure, is_over, pause, reason, waits_for
from edgecap.errors import ConfigError, EdgecapError
from edgecap.settings import Settings, load_settings
from edgecap.settings.uri import parse_uri
from tasks.runtime.retry import retry_prefect
from tasks.runtime.suspend import Waiting

OUTAGE = "edgecap.away"  # the label that holds since when a service has been away


async def wait_out(run_id: str, error: EdgecapError) -> Waiting:
    """Until when to wait after an attempt failed because a service is away.

    Raises:
        EdgecapError: `error`, if the run has waited long enough (setting `timing.outage`).
    """
    settings = load_settings()
    run = await retry_prefect(_read, run_id)
    outage = another_failure(outage_of(run), datetime.now(UTC))
    if is_over(outage, settings.timing.outage):
        raise error
    await retry_prefect(_remember, run_id, outage)
    at = outage.last + timedelta(seconds=pause(outage))
    return Waiting(waits_for(error, _buckets(settings)), at, reason(error, outage, settings.timing.outage))


def outage_of(run: FlowRun) -> Outage | None:
    """The last outage of a service during a run; it may be over."""
    return Outage.parse(str(run.labels.get(OUTAGE, "")))


async def _read(run_id: str) -> FlowRun:
    async with get_client() as client:
        return await client.read_flow_run(UUID(run_id))


async def _remember(run_id: str, outage: Outage) -> None:
    async with get_client() as client:
        await client.update_flow_run_labels(UUID(run_id), {OUTAGE: str(outage)})


def _buckets(settings: Settings) -> list[str]:
    found = []
    for place in settings.buckets.values():
        try:
            found.append(parse_uri(place.uri).uri)
        except ConfigError:
            continue
    return found
