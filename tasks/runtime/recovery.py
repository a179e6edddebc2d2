"""Taking up runs that died, once it is certain that no process works on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run as this_run
from prefect.settings import get_current_settings

from edgecap.archive.journal_records import Intent
from edgecap.reconcile import Life
from tasks.runtime import deployment_names
from tasks.runtime.find_runs import find_deployment, find_runs, in_state
from tasks.runtime.prefect_names import HEARTBEAT
from tasks.runtime.process_identity import ProcessMark, is_gone, this_process
from tasks.runtime.restart_policy import MAX_LIVES, SETTLING, TOO_OLD, Recovery, RunState, crashes, judge
from tasks.runtime.retry import DELAYS, TRIES, passing, retry_prefect
from tasks.runtime.states import CANCELS, history_of_run, set_state
from tasks.runtime.suspend import WAITING_FOR_WORKER, Waiting, reschedule
from tasks.runtime.workers import Workers, newest_event

PROCESS = "edgecap.process"  # the label that says which process works on a run
TAKEN_UP = (
    "capture",
    "drops",
    "register-bucket",
    "respond",
    "respond-to",
)  # flows that go on where they were
MISSED_BEATS = 3  # heartbeats, after which a process on another machine counts as dead
RECONCILE = "reconcile"
_UNFINISHED = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What was done about a run that died."""

    run_id: str
    name: str
    verdict: Recovery
    detail: str


async def record_process(run_id: str) -> None:
    """Record which process works on the run, so that others can tell when that process is gone."""
    mark = str(this_process())

    async def write() -> None:
        async with get_client() as client:
            await client.update_flow_run_labels(UUID(run_id), {PROCESS: mark})

    await retry_prefect(write)


@task(
    name="take up",
    task_run_name="take up dead runs",
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing,
)
async def take_up() -> list[TakenUp]:
    """Have a worker take up every run that is certainly dead, and give up runs that died too often.

    No run is forced into a state: a completed one stays completed.
    """
    async with get_client() as client:
        done, _ = await _see_to_all(client)
    return done


@task(
    name="look again",
    task_run_name="look again at what is starting",
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing,
)
async def look_again(
    *, since: datetime, until: datetime, deadline: datetime, wanted: Callable[[], Awaitable[bool]]
) -> tuple[list[TakenUp], bool]:
    """Keep looking at runs that are too young to judge, and take up the dead: no event tells of them again.

    Args:
        since: if a run ended after this time (aware), everything needs another look.
        until: keep looking until then, aware, even if no run is starting.
        deadline: end by then, aware.
        wanted: whether another `reconcile` is about to look, so that this one need not.

    Returns:
        What was done, and whether a run ended meanwhile.
    """
    done: list[TakenUp] = []
    async with get_client() as client:
        while True:
            more, again = await _see_to_all(client)
            done += more
            now = datetime.now(UTC)
            if now <= deadline and await _ended(client, since):
                return done, True
            if not (again or now < until) or now > deadline or await wanted():
                return done, False
            await asyncio.sleep(SETTLING.total_seconds() / 3)


async def _ended(client: PrefectClient, since: datetime) -> bool:
    """Whether a run crashed or was cancelled after `since`."""
    state = in_state(StateType.CRASHED, StateType.CANCELLED)
    return bool(await find_runs(client, flows=TAKEN_UP, state=state, end_time={"after_": since}))


async def _see_to_all(client: PrefectClient) -> tuple[list[TakenUp], bool]:
    """What was done about dead runs, and whether other runs are too young to judge."""
    log = get_run_logger()
    done, again = [], False
    workers = Workers(client)
    # A dead `reconcile` is given up: this run does its work.
    upkeep = {run.id: run for run in await find_runs(client, flows=[RECONCILE], state=in_state(*_UNFINISHED))}
    upkeep.pop(UUID(this_run.id), None)
    suspects = await find_runs(client, flows=TAKEN_UP, state=in_state(*_UNFINISHED, StateType.CRASHED))
    too_old = datetime.now(UTC) - TOO_OLD
    for run in [*suspects, *upkeep.values()]:
        if run.state is None or (run.state.type == StateType.CRASHED and run.state.timestamp < too_old):
            continue
        history = await history_of_run(client, run.id)
        verdict = judge(
            history,
            now=datetime.now(UTC),
            gone=process_is_gone(run),
            silent=await _silent(client, run),
            can_restart=bool(run.deployment_id and run.work_queue_id) and run.id not in upkeep,
            worker=await workers.starting(run),
        )
        if verdict == Recovery.LOOK_AGAIN:
            again = True
        elif verdict != Recovery.LEAVE:
            detail = await carry_out(client, run, verdict, history)
            log.warning("%s: %s", run.name, detail)
            done.append(TakenUp(str(run.id), run.name, verdict, detail))
    return done, again


async def start_reconcile_for_dead(client: PrefectClient) -> bool:
    """Start `reconcile` if an unfinished run's process has ended on this machine, or a run was just claimed.

    A worker tells Prefect of the end of its runs' processes. Of other processes nobody tells, and the
    heartbeats of their runs are missed only after two minutes. A claimed run has no process on record yet:
    `reconcile` waits until it can be judged.

    Returns:
        Whether it was started.
    """
    runs = await find_runs(client, flows=TAKEN_UP, state=in_state(*_UNFINISHED))
    if not any(process_is_gone(run) or run.state_type == StateType.PENDING for run in runs):
        return False
    upkeep = await find_deployment(client, deployment_names.RECONCILE)
    await client.create_flow_run_from_deployment(upkeep.id, name=RECONCILE)
    return True


async def read_life(intent: Intent) -> Life:
    """Whether the run of an intent works on it, or will by itself.

    Another server that uses the same archive may know a run that this one does not, such as the temporary
    server of a terminal.
    """
    run_id = intent.run.partition(" ")[0]
    try:
        async with get_client() as client:
            run = await client.read_flow_run(UUID(run_id))
    except (ObjectNotFound, ValueError):
        return Life.UNKNOWN
    match run.state.type if run.state else None:
        case StateType.CANCELLED:
            return Life.CANCELLED
        case StateType.COMPLETED | StateType.FAILED | StateType.CRASHED | None:
            return Life.DEAD
        case _:
            return Life.ALIVE


def process_is_gone(run: FlowRun) -> bool | None:
    """Whether the process that works on the run has ended; None if this machine cannot tell."""
    mark = ProcessMark.parse(str(run.labels.get(PROCESS, "")))
    return is_gone(mark) if mark else None


async def _silent(client: PrefectClient, run: FlowRun) -> bool:
    """Whether the run's process has missed its heartbeats."""
    every = get_current_settings().flows.heartbeat_frequency
    if run.state is None or run.state.type != StateType.RUNNING or every is None:
        return False
    since = datetime.now(UTC) - timedelta(seconds=MISSED_BEATS * every)
    if run.state.timestamp > since:
        return False
    resource = {"prefect.resource.id": f"prefect.flow-run.{run.id}"}
    beat = await newest_event(client, HEARTBEAT, resource)
    # A run that never sent one may run without heartbeats.
    return beat is not None and beat < since


async def carry_out(
    client: PrefectClient, run: FlowRun, verdict: Recovery, history: Iterable[RunState]
) -> str:
    """Do with a dead run what was decided, unless its state has changed since; say what was done."""
    if verdict == Recovery.CANCEL:
        return await _cancel(client, run)
    died = crashes(history)
    state = run.state
    if state and state.type != StateType.CRASHED:
        crashed = State[None](type=StateType.CRASHED, name="Crashed", message="its process is gone")
        state = await set_state(client, run.id, crashed)
        died += 1
    if state and state.type == StateType.CRASHED and verdict == Recovery.TAKE_UP:
        reason = f"taken up again after crash {died} of {MAX_LIVES} at most"
        state = await reschedule(client, run.id, Waiting(WAITING_FOR_WORKER, datetime.now(UTC), reason))
        if state.type == StateType.SCHEDULED:
            return reason
    if state and state.type in CANCELS:  # meanwhile
        return await _cancel(client, run)
    if state and state.type != StateType.CRASHED:
        return f"left alone: it is {state.name} by now"
    return f"given up after {died} crashes: what it asked of Cloudflare is brought in without it"


async def _cancel(client: PrefectClient, run: FlowRun) -> str:
    cancelled = State[None](type=StateType.CANCELLED, name="Cancelled", message="its process is gone")
    await set_state(client, run.id, cancelled)
    return "its process is gone, so it is cancelled"
