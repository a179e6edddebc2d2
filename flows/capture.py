"""Flow `capture`: submit, poll, fetch, summarise, archive."""

# No `from __future__ import annotations`: Prefect makes the form of the UI from the real types.
from datetime import UTC, datetime
from typing import cast

from prefect import flow, get_run_logger
from prefect.runtime import deployment
from prefect.runtime import flow_run as this_run
from prefect.states import Cancelled, Completed, Crashed, Failed

from edgecap.archive.manifest import Times
from edgecap.captures.incident_part import IncidentPart
from edgecap.captures.intent import identity_of
from edgecap.errors import EdgecapError, TooLate
from edgecap.requests import CaptureRequest, FullRequest, SimpleRequest
from edgecap.settings import DEFAULT
from tasks.archive import EntrySummary, archive_entry, close_intent
from tasks.fetch import fetch
from tasks.incident import notify_incident
from tasks.poll import poll
from tasks.runtime.cancelling import RunCancelled, RunLeft, Watched, unless_cancelled
from tasks.runtime.prefect_away import crashed
from tasks.runtime.recovery import record_process
from tasks.runtime.retry import PREFECT_AWAY
from tasks.runtime.run_or_suspend import run_or_suspend, run_or_suspend_accepted
from tasks.submit import IfLate, submit
from tasks.summarize import summarize

DEFAULT_REQUEST = SimpleRequest()


@flow(name="capture", flow_run_name="{request}", persist_result=True, retries=0)
async def capture(
    request: CaptureRequest = DEFAULT_REQUEST,
    account: str = DEFAULT,
    archive: str = DEFAULT,
    if_late: IfLate = "run",
    part: IncidentPart | None = None,
) -> EntrySummary:
    """Take one packet capture at Cloudflare's edge and keep it in the archive.

    A simple capture looks back at sampled packet headers in all data centres; a scheduled one asks for
    the window it was scheduled for, however late it runs. A full capture records every packet at one
    data centre from now on, into your bucket. The run waits its turn: one simple request a minute, one
    full capture at a time; meanwhile its state is WaitingForLane. Cloudflare or a store that is away is
    waited for as long as the packets can be had: WaitingForCloudflare, WaitingForArchive.

    Which packets is said by the fields that the API filters by, by an expression as for tcpdump, or by
    both. What the API cannot do of an expression is done once the packets are here.

    Args:
        request: What to capture
        account: Name of the Cloudflare account in the settings
        archive: Name of the archive in the settings
        if_late: What becomes of a scheduled full capture that starts long after its time
        part: Which part of an alert's incident it is; left empty by people
    """
    get_run_logger().info("Capture wanted: %s", request)
    # A simple capture is over at once: there is nothing to stop.
    intent = identity_of(this_run.id, part) if isinstance(request, FullRequest) else ""
    watched = Watched(this_run.id, intent, account, archive)
    try:
        return await _see_through(watched, request, account, archive, if_late, part)
    except PREFECT_AWAY as error:
        return cast("EntrySummary", crashed(error, watched))


async def _see_through(
    watched: Watched,
    request: SimpleRequest | FullRequest,
    account: str,
    archive: str,
    if_late: IfLate,
    part: IncidentPart | None,
) -> EntrySummary:
    """Take the capture, and return its entry or the state that says why there is none."""
    await record_process(this_run.id)
    scheduled, series = None, ""
    if "auto-scheduled" in this_run.tags:
        scheduled = this_run.scheduled_start_time
        series = f"{this_run.flow_name}/{deployment.name}"
    try:
        entry = await unless_cancelled(
            watched, _take(watched, request, account, archive, scheduled, series, if_late, part)
        )
    except RunCancelled as cancelled:
        return cast("EntrySummary", Cancelled(message=str(cancelled)))
    except RunLeft:
        # Not cancelled, which would have its capture stopped; `reconcile` brings in what comes of it.
        return cast(
            "EntrySummary", Crashed(name="Left", message="its terminal was left; the capture goes on")
        )
    except TooLate as skipped:
        return cast("EntrySummary", Cancelled(name="Skipped", message=str(skipped), data=skipped))
    except EdgecapError as error:
        await close_intent(identity_of(this_run.id, part), archive, error)
        if part:
            await notify_incident(part, archive)
        # Raised, the message would begin with Prefect's own words.
        return cast("EntrySummary", Failed(message=str(error), data=error))
    if part:
        await notify_incident(part, archive)
    # Prefect hands `data` to whoever awaits this run, and shows the message in the UI.
    return cast("EntrySummary", Completed(message=str(entry), data=entry))


async def _take(
    watched: Watched,
    request: SimpleRequest | FullRequest,
    account: str,
    archive: str,
    scheduled: datetime | None,
    series: str,
    if_late: IfLate,
    part: IncidentPart | None,
) -> EntrySummary:
    submitted = await run_or_suspend(
        submit, request, account, archive, this_run.id, scheduled, if_late, part, series
    )
    ended = await run_or_suspend_accepted(poll, submitted.capture, request, account, this_run.id)
    watched.is_over = True
    fetched = await run_or_suspend_accepted(fetch, ended.capture, request, account, archive, submitted.prefix)
    times = Times(final=ended.at, fetched=datetime.now(UTC))
    derived = await run_or_suspend_accepted(summarize, ended.capture, fetched, submitted.intent_id, archive)
    return await run_or_suspend_accepted(
        archive_entry, ended.capture, fetched, derived, request, submitted.intent_id, archive, times
    )
