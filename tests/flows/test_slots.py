"""A lane's slot that a restarted server has forgotten the lease of is freed, and only that one."""

import asyncio
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import patch
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.concurrency.asyncio import concurrency
from prefect.variables import Variable

from edgecap.cli.lanes import abandoned_slot, lane_as_json, show_lane, view
from edgecap.cloudflare.models import Listing
from edgecap.settings import Timing
from flows.capture import capture
from tasks.runtime.process_identity import this_process
from tasks.runtime.slot_holder import forget_slot, free_if_abandoned, leave_slot, record_slot_holder

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]
AT_ONCE = timedelta(0)
ELSEWHERE = "another-machine/boot/1:4711:1"


@pytest.fixture
async def taken(prefect_server):
    """The name of a slot that is taken without a lease, as it is after the server has forgotten it."""
    name = f"edgecap_full_{uuid4().hex}"
    async with get_client() as client:
        await client.upsert_global_concurrency_limit_by_name(name, 1)
        body = {"names": [name], "slots": 1, "mode": "concurrency"}
        await client.request("POST", "/v2/concurrency_limits/increment", json=body)
    return name


async def slots(name):
    async with get_client() as client:
        return (await client.read_global_concurrency_limit_by_name(name)).active_slots


async def held_by(name, run_id, process):
    await Variable.aset(f"{name}_holder", {"run": str(run_id), "process": process}, overwrite=True)


async def run_in(kind):
    async with get_client() as client:
        run = await client.create_flow_run(capture)
        await client.set_flow_run_state(run.id, State[None](type=kind), force=True)
        return run.id


async def test_a_slot_without_a_named_holder_is_freed_once(taken):
    assert await free_if_abandoned(taken) == "", "it was taken only now"
    reasons = await asyncio.gather(*(free_if_abandoned(taken, after=AT_ONCE) for _ in range(4)))
    assert [reason for reason in reasons if reason] == ["no run is recorded as its holder"]
    async with concurrency(taken, strict=True, lease_duration=60, max_retries=0):
        assert await slots(taken) == 1


def test_edgecap_lanes_shows_an_abandoned_slot(taken, prefect_server, tmp_path, capsys):
    def look(after, server=prefect_server.prefect, name=taken):
        with patch.dict(os.environ, PREFECT_API_URL=prefect_server.api_url):  # it says more to Prefect there
            return abandoned_slot(server, name, home=tmp_path, after=after)

    assert look(None) == "", "it was taken only now"
    run_id = asyncio.run(run_in(StateType.COMPLETED))
    asyncio.run(held_by(taken, run_id, ELSEWHERE))
    assert look(AT_ONCE) == f"run {run_id} held it, and has ended"
    assert asyncio.run(slots(taken)) == 1, "it only looks"
    now = datetime.now(UTC)
    lane = view("default", "full", Listing([], now), [], Timing(), now=now)
    assert lane.free
    lane = replace(lane, abandoned=look(AT_ONCE))
    show_lane(lane)
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith("full lane of account default: its slot is taken, but no run holds it")
    assert f"slot: run {run_id} held it, and has ended; the next reconcile frees it" in shown
    said = lane_as_json(lane)
    assert (said["free"], said["abandoned_slot"]) == (False, lane.abandoned)
    asyncio.run(free_if_abandoned(taken, after=AT_ONCE))
    assert look(AT_ONCE) == ""
    assert look(AT_ONCE, name="none") == ""
    assert look(AT_ONCE, server=None) == ""


async def test_the_slot_of_a_dead_process_is_freed(taken):
    mark = this_process()
    await held_by(
        taken, uuid4(), f"{mark.machine}:{mark.pid}:{mark.started - 1}"
    )  # its id was given out again
    assert "is gone" in await free_if_abandoned(taken, after=AT_ONCE)
    assert await slots(taken) == 0


async def test_the_slot_of_a_finished_run_is_freed_while_its_process_lives(taken):
    """The warm process lives for days, and its run could not give the slot back."""
    mark = str(this_process())
    await held_by(taken, await run_in(StateType.RUNNING), mark)
    assert await free_if_abandoned(taken, after=AT_ONCE) == ""
    await held_by(taken, await run_in(StateType.COMPLETED), mark)
    assert "has ended" in await free_if_abandoned(taken, after=AT_ONCE)


async def test_the_slot_of_a_living_holder_is_left_alone(taken):
    run_id = str(uuid4())
    await record_slot_holder(taken, run_id)
    assert await free_if_abandoned(taken, after=AT_ONCE) == ""
    await forget_slot(taken, str(uuid4()))  # another's word changes nothing
    assert await free_if_abandoned(taken, after=AT_ONCE) == ""
    assert await slots(taken) == 1
    assert await leave_slot(taken)
    assert await free_if_abandoned(taken, after=AT_ONCE)


async def test_a_run_that_wants_it_does_not_hold_it(taken):
    await held_by(taken, "me", str(this_process()))
    assert await free_if_abandoned(taken, myself="me", after=AT_ONCE) == "run me lost it"


@pytest.mark.parametrize(
    ("kind", "freed"),
    [(StateType.RUNNING, False), (StateType.CRASHED, True), (StateType.COMPLETED, True)],
)
async def test_on_another_machine_its_runs_state_tells(taken, kind, freed):
    await held_by(taken, await run_in(kind), ELSEWHERE)
    assert bool(await free_if_abandoned(taken, after=AT_ONCE)) is freed
    assert await slots(taken) == (0 if freed else 1)
