"""The workers were down: what a schedule asked for meanwhile is made up for, with the windows it meant."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.flow_engine import run_flow
from prefect.states import Scheduled

from edgecap.archive.entries import list_entries
from edgecap.errors import WindowTooOld
from edgecap.requests import SimpleRequest
from flows.capture import capture
from tasks.runtime.retry import retry_prefect

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect 2")]


@pytest.fixture
async def scheduled(prefect_server):
    """Makes a run as the scheduler did, which its worker takes only now; gives its end state."""
    async with get_client() as client:
        pool = await client.create_work_pool(WorkPoolCreate(name=f"pool-{uuid4().hex}", type="process"))
        flow_id = await client.create_flow(capture)
        deployment = await client.create_deployment(flow_id, name=uuid4().hex, work_pool_name=pool.name)

        async def make(when, request):
            parameters = {"request": request.model_dump(mode="json")}
            # A busy server answers 503 for longer than the client tries; with its key, twice is once.
            run = await retry_prefect(
                partial(
                    client.create_flow_run_from_deployment,
                    deployment,
                    parameters=parameters,
                    state=Scheduled(scheduled_time=when),
                    tags=["auto-scheduled"],
                    idempotency_key=uuid4().hex,
                )
            )
            return await run_flow(capture, run, parameters={"request": request}, return_type="state")

        yield make


async def test_every_capture_of_a_missed_hour_has_its_scheduled_window(world, store, scheduled):
    now = datetime.now(UTC)
    missed = [now - timedelta(minutes=minutes) for minutes in (60, 50, 40, 30, 20, 10)]
    ends = await asyncio.gather(*(scheduled(when, SimpleRequest(time_limit=5)) for when in missed))
    assert [state.name for state in ends] == ["Completed"] * len(missed)
    windows = sorted(entry.manifest.request["offset_time"] for entry in list_entries(store))
    for when, window in zip(missed, windows, strict=True):
        # The microseconds tell which run asked.
        assert timedelta(0) <= when - datetime.fromisoformat(window) < timedelta(seconds=1)
    assert len(world.posts()) == len(missed)
    assert not world.posts("refused")


async def test_a_window_more_than_a_day_old_fails_and_says_so(world, scheduled):
    state = await scheduled(datetime.now(UTC) - timedelta(hours=24, minutes=1), SimpleRequest())
    with pytest.raises(WindowTooOld, match="more than 24 hours old"):
        await state.aresult()
    assert "more than 24 hours old" in state.message
    assert not world.posts()
