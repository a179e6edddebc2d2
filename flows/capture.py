"""Flow `capture`: submit, poll, fetch, summarize, archive."""

# No `from __future__ import annotations`: Prefect makes the form of the UI from the real types.
from dataclasses import replace

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import deployment
from prefect.runtime import flow_run as this_run
from prefect.states import Cancelled, Completed, Crashed, Failed

from edgecap.captures.incident_part import IncidentPart
from edgecap.captures.order import CaptureOrder, IfLate
from edgecap.errors import EdgecapError, TooLate
from edgecap.requests import CaptureRequest, FullRequest, SimpleRequest
from edgecap.settings import DEFAULT
from tasks.archive import EntrySummary, archive_entry, close_intent
from tasks.fetch import fetch
from tasks.incident import notify_incident
from tasks.poll import poll
from tasks.runtime.cancelling import RunCancelled, RunLeft, Watched, unless_cancelled
from tasks.runtime.compat import scheduled_time
from tasks.runtime.prefect_away import crashed
from tasks.runtime.prefect_names import AUTO_SCHEDULED
from tasks.runtime.recovery import record_process
from tasks.runtime.retry import PREFECT_AWAY
from tasks.runtime.run_or_suspend import run_or_suspend, run_or_suspend_accepted
from tasks.submit import submit
from tasks.summarize import summarize

DEFAULT_REQUEST = SimpleRequest()


@flow(name="capture", flow_run_name="{request}", persist_result=True, retries=0)
async def capture(
    request: CaptureRequest = DEFAULT_REQUEST,
    account: str = DEFAULT,
    archive: str = DEFAULT,
    if_late: IfLate = "run",
    part: IncidentPart | None = None,
) -> State[EntrySummary]:
    """Take one packet capture at Cloudflare's edge and keep it in the archive.

    A simple capture looks back at sampled packet headers in all data centres. A scheduled one asks for the
    window that it was scheduled for, however late it runs. A full capture records every packet at one data
    centre from now on, into your bucket.

    The run waits for its turn, since Cloudflare allows one simple request a minute and one full capture at
    a time: its state is WaitingForLane. If Cloudflare, the bucket or the archive is away, the run waits as
    long as the packets can still be fetched: its state is WaitingForCloudflare, WaitingForBucket or
    WaitingForArchive.

    Choose packets by the fields that the API filters by, by an expression as for tcpdump, or by both. The
    part of an expression that the API cannot apply is applied to the packets after the download.

    Args:
        request: What to capture
        account: Name of the Cloudflare account in the settings
        archive: Name of the archive in the settings
        if_late: Whether a scheduled full capture that starts long after its time runs or is skipped
        part: The part of an incident that this capture is; filled in by the flow respond, leave it empty
    """
    return await take_capture(
        CaptureOrder(request, this_run.id, this_run.name, account, archive, if_late, part)
    )


async def take_capture(order: CaptureOrder) -> State[EntrySummary]:
    """Take the capture of the flow run that is being worked on, and return its final state.

    The state's data is the capture's entry, or the error that says why there is none.
    """
    get_run_logger().info("Capture wanted: %s", order.request)
    # A simple capture is over at once: there is nothing to stop.
    intent_id = order.intent_id if isinstance(order.request, FullRequest) else ""
    watched = Watched(order.run_id, intent_id, order.account, order.archive)
    try:
        return await _see_through(order, watched)
    except PREFECT_AWAY as error:
        return crashed(error, watched)


async def _see_through(order: CaptureOrder, watched: Watched) -> State[EntrySummary]:
    """Take the capture, and return its entry or the state that says why there is none."""
    await record_process(order.run_id)
    if AUTO_SCHEDULED in this_run.tags:
        series = f"{this_run.flow_name}/{deployment.name}"
        order = replace(order, scheduled=scheduled_time(), series=series)
    failure = ""
    try:
        entry = await unless_cancelled(watched, _take(order, watched))
    except RunCancelled as cancelled:
        return Cancelled(message=str(cancelled))
    except RunLeft:
        # Not Cancelled: then its capture would be stopped. `reconcile` imports what it captures.
        return Crashed(name="Left", message="its terminal was left; the capture goes on")
    except TooLate as skipped:
        return Cancelled(name="Skipped", message=str(skipped), data=skipped)
    except EdgecapError as error:
        failure = str(error)
        await close_intent(order, error)
        # Raised, the message would begin with Prefect's own words.
        state: State[EntrySummary] = Failed(message=str(error), data=error)
    else:
        # Code that awaits this run gets `data`; the UI shows the message.
        state = Completed(message=str(entry), data=entry)
    if order.part:
        await notify_incident(order.part, order.archive, failure)
    return state


async def _take(order: CaptureOrder, watched: Watched) -> EntrySummary:
    submitted = await run_or_suspend(submit, order)
    intent = submitted.intent
    ended = await run_or_suspend_accepted(poll, order, submitted.capture)
    watched.is_over = True
    fetched = await run_or_suspend_accepted(fetch, order, intent, ended.capture)
    derived = await run_or_suspend_accepted(summarize, order, intent, ended.capture, fetched)
    return await run_or_suspend_accepted(archive_entry, order, intent, ended, fetched, derived)
