"""Task `poll`: wait until Cloudflare says that the capture is over, and show how far it is."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
from prefect import get_run_logger, task
from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact
from prefect.cache_policies import NO_CACHE

from edgecap.captures.order import CaptureOrder
from edgecap.captures.polling import Poll, look
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import CaptureFailed, DeadlinePassed
from edgecap.requests import FullRequest, rfc3339
from edgecap.settings import load_settings
from edgecap.units import clock as time_of_day
from tasks.runtime.lane_queue import Queue
from tasks.runtime.retry import DELAYS, TRIES, passing_soon
from tasks.runtime.suspend import WAITING_FOR_CAPTURE, Waiting, max_inline_wait, this_flow_run


@dataclass(frozen=True, slots=True)
class FinalCapture:
    """A capture with its final status, and when it was seen to have it, on the server's clock."""

    capture: Capture
    at: datetime


@task(
    name="poll",
    task_run_name="poll",
    # A look at a capture that is not final must not be cached, and another look at a final one is cheap.
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing_soon,
)
async def poll(order: CaptureOrder, capture: Capture) -> FinalCapture | Waiting:
    """Wait until Cloudflare says that the capture is over, and show how far it is.

    Args:
        order: what was asked for.
        capture: as accepted.

    Returns:
        The capture with its final status; or until when to wait, if that is worth ending the process for.

    Raises:
        CaptureFailed: it ended without packets; the message has Cloudflare's reason.
        DeadlinePassed: it was not final a margin after its time limit.
    """
    log = get_run_logger()
    request = order.request
    settings = load_settings()
    timing = settings.timing
    sign_in = settings.account(order.account)
    keeps = max_inline_wait(this_flow_run())
    async with Client(sign_in) as client:
        now = await look(client, capture)
        clock = timing.server_clock(client.server_now)
        plan = Poll(
            clock,
            submitted=capture.submitted or clock.now(),
            time_limit=request.time_limit if isinstance(request, FullRequest) else 0,
            first=timing.poll_first,
            most=timing.poll_most,
            margin=timing.margin,
        )
        artifact = await acreate_progress_artifact(
            round(plan.progress()),
            key=f"progress-{capture.id[:12]}",
            description=f"{request}: {now.status}",
        )
        shown = (round(plan.progress()), now.status)
        wait, status = 0.0, capture.status
        while not now.is_final:
            if now.status != status:
                status = now.status
                log.info("Capture %s is %s", capture.id, status)
            if clock.now() > plan.deadline:
                raise DeadlinePassed(
                    f"capture {capture.id} is still {now.status} at {rfc3339(clock.now())}",
                    where=f"account {order.account}",
                    hint="look at it in the dashboard, or raise timing.margin",
                )
            pause = plan.pause()
            if pause > keeps:
                at = datetime.now(UTC) + timedelta(seconds=pause)
                reason = f"Waiting for capture {capture.id} until {time_of_day(at)}Z: it is {now.status}"
                return Waiting(WAITING_FOR_CAPTURE, at, reason)
            wait = plan.wait(wait)
            await asyncio.sleep(wait)
            now = await look(client, capture)
            if not now.is_final and shown != (shown := (round(plan.progress()), now.status)):
                await aupdate_progress_artifact(artifact, shown[0], description=f"{request}: {now.status}")
        await aupdate_progress_artifact(artifact, 100.0, description=f"{request}: {now.status}")
        if isinstance(request, FullRequest):
            with suppress(httpx.HTTPError):  # the next run looks by itself, only later
                line = Queue("full", sign_in.lanes)
                await line.call(await line.order(timing), at=datetime.now(UTC), clock=clock, timing=timing)
        log.info("Capture %s ended: %s", capture.id, now.status)
        if now.failed:
            raise CaptureFailed(
                now.why_failed,
                capture_id=capture.id,
                hint="widen the filter, capture longer, or choose another place",
            )
        return FinalCapture(now, clock.now())
