"""Flow `respond`: an alert becomes an incident, with packets from before, during and after the attack."""

# No `from __future__ import annotations`: Prefect makes the form of the UI from the real types.
import asyncio
from datetime import UTC, datetime, timedelta
from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run as this_run
from prefect.states import Cancelled, Completed, Failed

from edgecap.alerts.model import Alert, summary_of
from edgecap.alerts.policy.decision import Plan
from edgecap.alerts.words import words_of_run
from edgecap.errors import EdgecapError
from edgecap.incidents.placing import Elsewhere
from edgecap.incidents.record import OPENED, IncidentEvent, Part, escalation_name
from edgecap.settings import DEFAULT, load_settings
from edgecap.units import plural
from tasks.drops import ask_again_later, ask_drops
from tasks.incident import (
    as_decided,
    close,
    how_it_began,
    make_room,
    start_captures,
    wake_incident,
    watch,
    write_down,
)
from tasks.incident_notice import tell
from tasks.incident_page import show_incident
from tasks.incident_places import choose_places
from tasks.propose import propose_filters
from tasks.runtime.alert_runs import respond_name
from tasks.runtime.cancelling import RunCancelled, Watched, unless_cancelled
from tasks.runtime.prefect_away import crashed
from tasks.runtime.recovery import record_process
from tasks.runtime.retry import PREFECT_AWAY, retry_prefect
from tasks.runtime.run_or_suspend import run_or_suspend


def _name() -> str:
    """Such as `incident 1f0c22ab: SYN flood on 203.0.113.7 port 443`."""
    given = this_run.parameters
    return respond_name(given["incident"], words_of_run(Alert.model_validate(given["alert"]), given["event"]))


@flow(name="respond", flow_run_name=_name, persist_result=True, retries=0)
async def respond(
    incident: str,
    event: Literal["start", "escalation", "end"],
    alert: Alert,
    plan: Plan,
    account: str = DEFAULT,
    archive: str = DEFAULT,
) -> State[str]:
    """Start the captures that an alert calls for, wait for them, and close the incident when it is over.

    The receiver of alerts starts this flow, with the plan that the policy made when the alert arrived. At the
    start of an attack, simple captures reach back before it, and full captures record it. At its end, simple
    captures show what follows. A capture that fails does not affect the others.

    Args:
        incident: The incident's id, 32 hexadecimal digits
        event: Whether the attack began, escalated, or ended
        alert: The alert that arrived
        plan: What to capture, and why
        account: Name of the Cloudflare account in the settings
        archive: Name of the archive in the settings
    """
    noted = IncidentEvent(
        incident=incident, alert=summary_of(alert), plan=plan, account=account, at=datetime.now(UTC)
    )
    try:
        await record_process(this_run.id)
        work = {"start": _start, "escalation": _escalate, "end": _end}[event](noted, archive)
        # In the warm process nothing else would notice that the run is cancelled.
        message = await unless_cancelled(Watched(str(this_run.id), ""), work)
    except RunCancelled:
        return Cancelled(message="cancelled; captures that it started are runs of their own")
    except PREFECT_AWAY as error:
        return crashed(error)
    except EdgecapError as error:
        # Raised, the message would begin with Prefect's own words.
        return Failed(message=str(error), data=error)
    return Completed(message=message, data=message)


async def _start_captures(name: str, noted: IncidentEvent, archive: str) -> IncidentEvent:
    """Start the captures of an alert. Those that look back wait for no choice of a data centre.

    Args:
        name: of the alert's record.
        noted: the alert and its plan.
        archive: name of the archive in the settings.

    Returns:
        The alert with its captures at the data centres that were chosen.
    """
    if not noted.awaits_places:
        await start_captures(noted, archive)
        return noted
    first = asyncio.ensure_future(start_captures(noted, archive))
    try:
        placed = await run_or_suspend(choose_places, name, noted, archive)
    finally:
        await first
    await start_captures(placed.without(noted), archive)
    return placed


async def _start(noted: IncidentEvent, archive: str) -> str:
    noted = await run_or_suspend(write_down, "start", noted, archive)
    noted = await _start_captures(OPENED, noted, archive)
    if noted.plan.preempt:
        await make_room(noted, archive)
    await show_incident(noted, [], archive)
    await tell("opening", noted, archive)
    return await _see_out(noted, archive)


async def _escalate(noted: IncidentEvent, archive: str) -> str:
    noted = await run_or_suspend(write_down, "escalation", noted, archive)
    noted = await _start_captures(escalation_name(noted), noted, archive)
    if noted.plan.preempt:
        await make_room(noted, archive)
    await tell("escalation", noted, archive)
    if await retry_prefect(wake_incident, noted.incident, this_run.id, has_news=True):
        return f"{plural(len(noted.plan.captures), 'capture')} added to the incident"
    return await _see_out(await run_or_suspend(how_it_began, noted, archive), archive)


async def _end(noted: IncidentEvent, archive: str) -> str:
    noted = await run_or_suspend(write_down, "end", noted, archive)
    await start_captures(noted, archive)
    if await retry_prefect(wake_incident, noted.incident, this_run.id, has_news=True):
        started = plural(len(noted.plan.captures), "capture")
        return f"the end is noted, and {started} after it"
    opened = await run_or_suspend(how_it_began, noted, archive)
    return await _see_out(opened, archive)


async def _outcomes(opened: IncidentEvent, archive: str, until: datetime) -> list[Part]:
    """Wait until the incident is over; meanwhile try other data centres where captures had few packets."""
    while True:
        seen: list[Part] | Elsewhere = await run_or_suspend(watch, opened.incident, archive, until)
        if not isinstance(seen, Elsewhere):
            return seen
        await _try_elsewhere(seen.event, opened, archive)


async def _try_elsewhere(name: str, opened: IncidentEvent, archive: str) -> None:
    """Choose another data centre for an alert, and start the capture there."""
    noted = await run_or_suspend(as_decided, opened.incident, name, archive)
    before = await run_or_suspend(choose_places, name, noted, archive)
    after = await run_or_suspend(choose_places, name, noted, archive, again=True)
    await start_captures(after.without(before), archive)


async def _see_out(opened: IncidentEvent, archive: str) -> str:
    """Wait until the incident is over, and close it."""
    settings = load_settings()
    until = opened.at + timedelta(seconds=settings.incidents.close_after)
    parts = await _outcomes(opened, archive, until)
    proposals = await propose_filters(opened, parts, archive)
    drops = await ask_drops(opened, archive)
    record, is_ours = await run_or_suspend(close, opened, parts, archive)
    await show_incident(opened, parts, archive, record, proposals)
    if drops is None or not drops.refused:
        await ask_again_later(opened, archive)
    if is_ours:
        await tell("closing", opened, archive, record, proposals)
    return str(record)
