"""Runs that are due at once: workers do not see them, and the warm process takes them without a wait."""

from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Scheduled

from tasks.runtime.starting import claim, start_now
from tasks.runtime.warm_runner import ADDRESS, START_HERE, due

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

PREFETCH = timedelta(seconds=10)  # how far workers look ahead


@pytest.fixture
def here():
    """This process is the warm one; gives the runs that it is told of, and whether it takes them."""
    told, takes = [], [True]
    token = START_HERE.set(lambda run_id: told.append(run_id) or takes[0])
    yield told, takes
    START_HERE.reset(token)


async def make(client, deployment):
    return await client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=due()))


async def seen_by_workers(client, deployment):
    """The runs that a worker would take now."""
    pool = (await client.read_deployment(deployment)).work_pool_name
    found = await client.get_scheduled_flow_runs_for_work_pool(
        pool, scheduled_before=datetime.now(UTC) + PREFETCH
    )
    return [answer.flow_run.id for answer in found]


async def test_the_warm_process_takes_a_run_that_no_worker_sees(deployment, here):
    async with get_client() as client:
        run = await make(client, deployment)
        assert await seen_by_workers(client, deployment) == []
        await start_now(client, run)
        assert here[0] == [run.id]
        assert await claim(client, run)
        state = (await client.read_flow_run(run.id)).state
        assert state.type == StateType.PENDING
        assert state.state_details.scheduled_time <= datetime.now(UTC), "Prefect would let it wait until then"
        assert not await claim(client, await client.read_flow_run(run.id))
        states = sorted(await client.read_flow_run_states(run.id), key=lambda state: state.timestamp)
        # It was never scheduled for now, when a worker could have seen it and aborted its submission.
        assert [state.type for state in states] == [StateType.SCHEDULED, StateType.PENDING]


async def test_a_run_that_the_warm_process_refuses_is_a_workers_at_once(deployment, here):
    here[1][0] = False
    async with get_client() as client:
        run = await make(client, deployment)
        await start_now(client, run)
        assert await seen_by_workers(client, deployment) == [run.id]


async def test_without_a_warm_process_a_worker_sees_the_run_at_once(deployment, monkeypatch):
    monkeypatch.delenv(ADDRESS, raising=False)
    async with get_client() as client:
        run = await make(client, deployment)
        await start_now(client, run)
        assert await seen_by_workers(client, deployment) == [run.id]
        states = await client.read_flow_run_states(run.id)
        assert len(states) == 1, "its time is right already"


async def test_a_run_for_a_later_time_is_left_alone(deployment, here):
    async with get_client() as client:
        later = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(minutes=5))
        run = await client.create_flow_run_from_deployment(deployment, state=later)
        await start_now(client, run)
        assert here[0] == []
        assert not await claim(client, run)
