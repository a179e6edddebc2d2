"""Tasks of the flow `respond`: write down what began, start its captures, watch them, close it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType

from edgecap.alerts.policy.decision import Planned
from edgecap.archive.journal import Journal
from edgecap.captures.incident_part import IncidentPart
from edgecap.cloudflare.client import Client
from edgecap.errors import EdgecapError
from edgecap.incidents.drops import read_drops
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.overview import Overview
from edgecap.incidents.placing import Elsewhere, elsewhere_wanted
from edgecap.incidents.record import Incident, IncidentEvent, Lost, Part, Told, closed_record
from edgecap.requests import FullRequest
from edgecap.settings import load_settings
from edgecap.stores import Store, open_store
from edgecap.units import plural
from tasks.incident_page import show_incident
from tasks.outcomes import Outcomes
from tasks.runtime.alert_runs import ALERT, incident_tag, incident_tags, is_of_incident, plain
from tasks.runtime.deployment_names import INCIDENT_CAPTURE
from tasks.runtime.find_runs import find_deployment, find_runs, in_state
from tasks.runtime.retry import DELAYS, PREFECT_AWAY, TRIES, passing, passing_soon
from tasks.runtime.starting import start_now
from tasks.runtime.suspend import MAX_INLINE_WAIT, PREFETCH, Waiting, wake
from tasks.runtime.warm_runner import MAX_WAIT_IN_PROCESS, due

WAITING_FOR_CAPTURES, WAITING_FOR_END = "WaitingForCaptures", "WaitingForEnd"
SOON = timedelta(seconds=5)  # a run that is due within this time is started at once
LOOK_FIRST, LOOK_MOST = 1.0, 5.0  # seconds between two looks, growing
SETTLED = timedelta(seconds=2)  # for the state of a run that is about to end
ASLEEP_AFTER = 20  # seconds; a run that still works after that looks often enough
FALL_BACK = timedelta(minutes=5)  # a capture that ends wakes its incident, unless its run dies before that
_OPEN = in_state(StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED)
_TO_STOP = ("pending", "running")  # a capture in conversion makes room by itself, and cannot be stopped


@task(
    name="write down",
    task_run_name="write down the {event}",
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing_soon,
)
async def write_down(event: str, noted: IncidentEvent, archive: str) -> IncidentEvent:
    """Write down how an incident begins or ends, before anything else is done. The first record stands.

    Args:
        event: `start`, `escalation` or `end`.
        noted: the alert and its plan.
        archive: name of the archive in the settings.

    Raises:
        StoreError: the archive cannot be written.
    """
    incidents = Incidents(open_store(load_settings().archive(archive)))
    write = {"start": incidents.open, "escalation": incidents.escalate, "end": incidents.end}[event]
    return await asyncio.to_thread(write, noted)


async def how_it_began(noted: IncidentEvent, archive: str) -> IncidentEvent:
    """The record of how an incident began; that of its end if the archive has none.

    Raises:
        StoreError: the archive cannot be read.
    """
    incidents = Incidents(open_store(load_settings().archive(archive)))
    return (await asyncio.to_thread(incidents.told, noted.incident)).opened or noted


async def as_decided(incident: str, name: str, archive: str) -> IncidentEvent:
    """The record of an event of an incident, without the data centres that were chosen for it.

    Args:
        incident: its id.
        name: of the record.
        archive: name of the archive in the settings.

    Raises:
        StoreError: the archive cannot be read.
    """
    incidents = Incidents(open_store(load_settings().archive(archive)))
    return (await asyncio.to_thread(incidents.told, incident)).records[name]


@task(
    name="start captures",
    task_run_name="start captures",
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing,
)
async def start_captures(noted: IncidentEvent, archive: str) -> list[str]:
    """Make a run for each planned capture that has its place, once, and start those that are due at once.

    Args:
        noted: the plan.
        archive: name of the archive in the settings.

    Returns:
        The ids of the runs, in the order of the plan.
    """
    log = get_run_logger()
    ids = []
    async with get_client() as client:
        deployment = await find_deployment(client, INCIDENT_CAPTURE)
        for part, planned in noted.parts:
            if planned.awaits_place:
                continue
            now = datetime.now(UTC)
            later = planned.not_before if planned.not_before and planned.not_before > now + SOON else None
            run = await client.create_flow_run_from_deployment(
                deployment.id,
                name=str(planned.request),
                parameters=plain(
                    {
                        "request": planned.request.model_dump(mode="json", exclude_defaults=True)
                        | {"type": planned.request.type},
                        "account": noted.account,
                        "archive": archive,
                        "part": part.model_dump(mode="json"),
                    }
                ),
                tags=[ALERT, part.phase, *_where(planned), incident_tag(noted.incident)],
                state=State[None](
                    type=StateType.SCHEDULED,
                    state_details={"scheduled_time": later or due()},
                ),
                idempotency_key=f"capture {part.intent_id}",
            )
            ids.append(str(run.id))
            log.info("%s %d: %s, run %s", part.phase, part.number, planned.request, run.id)
            if not later:
                await start_now(client, run)
    return ids


def _where(planned: Planned) -> list[str]:
    """The data centre and the target of a capture, as tags."""
    colo = planned.request.colo if isinstance(planned.request, FullRequest) else None
    return [tag for tag in (colo, planned.request.filter.destination_address) if tag]


@task(name="make room", task_run_name="make room", cache_policy=NO_CACHE)
async def make_room(noted: IncidentEvent, archive: str) -> str:
    """Stop a schedule's full capture if it holds up a capture of this incident.

    The packets that Cloudflare has saved are kept and flagged. Captures that people started, and those of
    other incidents, are left alone. An error is only logged: then the incident's capture waits for its turn.

    Args:
        noted: the plan.
        archive: name of the archive in the settings.

    Returns:
        The id of the capture that was stopped; empty if there was none.
    """
    settings = load_settings()
    journal = Journal(open_store(settings.archive(archive)))
    try:
        during = [part for part, _ in noted.parts if part.phase == "during"]
        if not await asyncio.to_thread(lambda: any(_waits(journal, part) for part in during)):
            return ""
        async with Client(settings.account(noted.account)) as client:
            listing = await client.list_captures()
            running = {
                capture.id
                for capture in listing.captures
                if capture.type == "full" and capture.status in _TO_STOP and capture.stop_requested is None
            }
            of_schedule = await asyncio.to_thread(_of_a_schedule, journal, running) if running else ""
            if of_schedule:
                await client.stop_capture(of_schedule)
                get_run_logger().warning("Stopped the schedule's full capture %s for this alert", of_schedule)
            return of_schedule
    except EdgecapError as error:
        get_run_logger().warning("No room could be made: %s", error)
        return ""


def _waits(journal: Journal, part: IncidentPart) -> bool:
    record = journal.follow(part.intent_id)
    return record is None or not (record.accepted or record.ended)


def _of_a_schedule(journal: Journal, captures: set[str]) -> str:
    for record in journal.open():
        if record.capture_id in captures and record.intent.scheduled and not record.intent.incident:
            return record.capture_id
    return ""


@task(
    name="watch captures",
    task_run_name="watch captures",
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing_soon,
)
async def watch(incident: str, archive: str, until: datetime) -> list[Part] | Elsewhere | Waiting:
    """Wait until every capture of the incident is over, and the attack's end has arrived or is overdue.

    The incident's page is shown anew each time a capture ends.

    Args:
        incident: its id.
        archive: name of the archive in the settings.
        until: how long to wait for the attack's end, aware.

    Returns:
        The outcome of each capture; or for which alert another data centre is to be tried; or until when to
        wait, if that is worth ending the process for.
    """
    store = open_store(load_settings().archive(archive))
    incidents, outcomes = Incidents(store), Outcomes(store)
    told: Told | None = None
    keeps = max(MAX_INLINE_WAIT, MAX_WAIT_IN_PROCESS.get())
    began, pause, shown = datetime.now(UTC), LOOK_FIRST, 0
    while True:
        told = await asyncio.to_thread(incidents.told, incident, told)
        opened, ended = told.opened, told.ended
        parts = await outcomes.look(told.events)
        now = datetime.now(UTC)
        pending = [part for part in parts if part.state == "pending"]
        if opened and len(parts) - len(pending) != shown and not (ended and not pending):
            shown = len(parts) - len(pending)
            await show_incident(opened, parts, archive)
        if elsewhere := await asyncio.to_thread(elsewhere_wanted, store, told, parts):
            return elsewhere
        if not pending and (ended or now >= until):
            return parts
        if not pending:
            return Waiting(
                WAITING_FOR_END,
                until,
                f"{plural(len(parts), 'capture')} ended; waiting for the alert's end, "
                f"until {until:%Y-%m-%d %H:%M}Z",
            )
        if (now - began).total_seconds() > keeps:
            return Waiting(
                WAITING_FOR_CAPTURES,
                now + FALL_BACK,
                f"Waiting for {len(pending)} of {plural(len(parts), 'capture')}: {pending[0]}",
            )
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LOOK_MOST)


@task(
    name="close",
    task_run_name="close the incident",
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing_soon,
)
async def close(opened: IncidentEvent, parts: list[Part], archive: str) -> tuple[Incident, bool]:
    """Write the one record of an incident.

    Args:
        opened: how it began.
        parts: the outcomes of its captures.
        archive: name of the archive in the settings.

    Returns:
        The record that stands, and whether it is this one: another run may have been faster.
    """
    store = open_store(load_settings().archive(archive))
    incidents = Incidents(store)

    def write() -> tuple[Incident, bool]:
        told = incidents.told(opened.incident)
        incident = Overview(
            opened.incident,
            opened=told.opened or opened,
            escalations=tuple(told.escalations),
            ended=told.ended,
            drops=read_drops(store, opened.incident),
        )
        record = closed_record(
            told.opened or opened,  # other data centres may have been tried since
            told.ended,
            tuple(incident.with_mitigation(parts)),
            escalations=told.escalations,
            held_back=incidents.held_back(opened.incident),
            at=datetime.now(UTC),
        )
        stands = incidents.close(record)
        return stands, stands == record

    return await asyncio.to_thread(write)


async def notify_incident(part: IncidentPart, archive: str, failure: str = "") -> None:
    """Tell an incident that a capture of it has just ended. Never fails.

    Wakes the incident's run if that was its last capture, or if the capture failed.

    Args:
        part: the capture.
        archive: name of the archive in the settings.
        failure: why it failed. It is written down if the journal does not know the capture.
    """
    with suppress(EdgecapError, *PREFECT_AWAY):
        store: Store = open_store(load_settings().archive(archive))
        incidents = Incidents(store)
        told = await asyncio.to_thread(incidents.told, part.incident)
        if not failure or not await asyncio.to_thread(_note_failure, store, part, failure):
            for other in await Outcomes(store).look(told.events):
                mine = (other.phase, other.number) == (part.phase, part.number)
                if other.state == "pending" and not mine:
                    return
        await wake_incident(
            part.incident, "", has_news=told.ended is not None, at=datetime.now(UTC) + SETTLED
        )


def _note_failure(store: Store, part: IncidentPart, failure: str) -> bool:
    """Write down why a capture failed that is not in the journal; False if it is there."""
    if Journal(store).follow(part.intent_id):
        return False
    lost = Lost(reason=failure, at=datetime.now(UTC))
    Incidents(store).lose(part.incident, part.phase, part.number, lost)
    return True


async def wake_incident(incident: str, myself: str, *, has_news: bool, at: datetime | None = None) -> bool:
    """Wake the run that opened an incident, so that it looks again; False if there is none.

    Args:
        incident: its id.
        myself: the id of the run that asks; it is left out.
        has_news: whether the attack's end is known, or captures were added; if not, a run that waits for the
            end sleeps on.
        at: when, aware; now if not given.
    """
    async with get_client() as client:
        for _ in range(ASLEEP_AFTER):
            run = next((run for run in await _open_runs(client, incident) if _opens(run, myself)), None)
            if run is None or run.state is None:
                return False
            state = run.state
            if state.type == StateType.SCHEDULED:
                soon = at or datetime.now(UTC)
                # A run that wakes sooner may be starting already: another wake would start a second process.
                sleeps = (state.state_details.scheduled_time or soon) > soon + PREFETCH
                if not sleeps or (state.name == WAITING_FOR_END and not has_news):
                    return True
                if await wake(client, run, at=soon):
                    return True
            # It may have looked for the last time and be about to sleep, or it is being cancelled.
            await asyncio.sleep(1)
    return True


def _opens(run: FlowRun, myself: str) -> bool:
    return run.parameters.get("event") == "start" and str(run.id) != myself


async def _open_runs(client: PrefectClient, incident: str) -> list[FlowRun]:
    found = await find_runs(client, tags={"any_": incident_tags(incident)}, state=_OPEN)
    return [run for run in found if is_of_incident(run.parameters, incident)]
