"""Runs that died: taking them up again, once it is certain that nobody works on them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from edgecap.archive.journal import Intent
from edgecap.liveness import ProcessMark, is_gone, this_process
from edgecap.lives import MOST_LIVES, SETTLING, RunState, Verdict, crashes, judge
from edgecap.reconcile import Life
from tasks.retrying import DELAYS, TRIES, insist, passing
from tasks.waiting import Waiting, put_off

PROCESS = "edgecap.process"  # the label by which a run says which process works on it
TAKEN_UP = ("capture", "register-bucket", "respond", "respond-to")  # flows that go on where they were
MISSED_BEATS = 3  # of a process that must be dead, if it is on another machine
_MIGHT_BE_DEAD = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING, StateType.CRASHED]
_PAGE = 200


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What was done about a run that died."""

    run_id: str
    name: str
    verdict: Verdict
    detail: str


async def sign(run_id: str) -> None:
    """Say which process works on the run, so that it can be told when that is gone."""
    mark = str(this_process())

    async def write() -> None:
        async with get_client() as client:
            await client.update_flow_run_labels(UUID(run_id), {PROCESS: mark})

    await insist(write)


@task(
    name="take up",
    task_run_name="take up dead runs",
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing,
)
async def take_up() -> list[TakenUp]:
    """Have every run that died taken up again by a worker, and give up those that died too often.

    A run is never forced into a state: one that was completed stays so. One that may have died in its first
    seconds is waited for, since nothing tells of it again before its silence does.
    """
    async with get_client() as client:
        done, look_again = await _see_to_all(client)
        if look_again:
            await asyncio.sleep(SETTLING.total_seconds())
            more, _ = await _see_to_all(client)
            done += more
    return done


async def _see_to_all(client: PrefectClient) -> tuple[list[TakenUp], bool]:
    """What was done about the dead, and whether some may be dead of whom it is too early to say so."""
    log = get_run_logger()
    done, look_again = [], False
    for run in await _suspects(client):
        history = [
            RunState(state.type.value, state.timestamp) for state in await client.read_flow_run_states(run.id)
        ]
        verdict = judge(
            history,
            now=datetime.now(UTC),
            gone=_gone(run),
            silent=await _silent(client, run),
            can_restart=bool(run.deployment_id and run.work_queue_id),
        )
        if verdict == Verdict.LOOK_AGAIN:
            look_again = True
        elif verdict != Verdict.LEAVE:
            detail = await _act(client, run, verdict, history)
            log.warning("%s: %s", run.name, detail)
            done.append(TakenUp(str(run.id), run.name, verdict, detail))
    return done, look_again


async def life_of(intent: Intent) -> Life:
    """Whether the run of an intent works on it, or will by itself."""
    run_id = intent.run.partition(" ")[0]
    try:
        async with get_client() as client:
            run = await client.read_flow_run(UUID(run_id))
    except (ObjectNotFound, ValueError):
        return Life.DEAD
    match run.state.type if run.state else None:
        case StateType.CANCELLED:
            return Life.CANCELLED
        case StateType.COMPLETED | StateType.FAILED | StateType.CRASHED | None:
            return Life.DEAD
        case _:
            return Life.ALIVE


async def _suspects(client: PrefectClient) -> list[FlowRun]:
    flows = FlowFilter(name=FlowFilterName(any_=list(TAKEN_UP)))
    states = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_MIGHT_BE_DEAD)))
    found: list[FlowRun] = []
    while True:
        page = await client.read_flow_runs(
            flow_filter=flows, flow_run_filter=states, limit=_PAGE, offset=len(found)
        )
        found += page
        if len(page) < _PAGE:
            return found


def _gone(run: FlowRun) -> bool | None:
    mark = ProcessMark.parse(str(run.labels.get(PROCESS, "")))
    return is_gone(mark) if mark else None


async def _silent(client: PrefectClient, run: FlowRun) -> bool:
    """Whether the run's process should have given a sign of life, and has not."""
    every = get_current_settings().flows.heartbeat_frequency
    if run.state is None or run.state.type != StateType.RUNNING or every is None:
        return False
    since = datetime.now(UTC) - timedelta(seconds=MISSED_BEATS * every)
    if run.state.timestamp > since:
        return False
    wanted = EventFilter(
        event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
        occurred=EventOccurredFilter(since=since),
    )
    answer = await client.request(
        "POST", "/events/filter", json={"filter": wanted.model_dump(mode="json"), "limit": 1}
    )
    answer.raise_for_status()
    return not answer.json()["events"]


async def _act(client: PrefectClient, run: FlowRun, verdict: Verdict, history: Iterable[RunState]) -> str:
    if verdict == Verdict.CANCEL:
        await client.set_flow_run_state(
            run.id, State[None](type=StateType.CANCELLED, name="Cancelled", message="its process is gone")
        )
        return "was to be cancelled, and its process is gone: cancelled"
    died = crashes(history)
    if run.state and run.state.type != StateType.CRASHED:
        await client.set_flow_run_state(
            run.id, State[None](type=StateType.CRASHED, name="Crashed", message="its process is gone")
        )
        died += 1
    if verdict == Verdict.TAKE_UP:
        reason = f"taken up again after crash {died} of {MOST_LIVES} at most"
        await put_off(client, run.id, Waiting("AwaitingRetry", datetime.now(UTC), reason))
        return reason
    return f"given up after {died} crashes: what it asked of Cloudflare is brought in without it"
