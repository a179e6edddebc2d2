"""Stopping an intent's full capture at Cloudflare. Every cancel ends up here.

A cancel comes from a terminal, from Prefect or from Ctrl-C, and at any moment: before the POST, while its
answer is on the way, or hours later. Each time there are two questions: which capture did the intent start,
and does it still go on? The journal answers the first, or else Cloudflare's list. To stop a capture twice, or
from two processes at once, does no harm.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from edgecap.archive.journal import Journal
from edgecap.captures.adoption import best_match, find_accepted
from edgecap.cloudflare.client import Client, Listing
from edgecap.cloudflare.models import Capture
from edgecap.errors import ApiError, EdgecapError, NotStopped, UnknownToApi
from edgecap.requests import FullRequest

TIMEOUT = 8.0  # seconds for one call: a cancel should take less than twice as long in all
LOOK = 1.0  # seconds between two attempts


class Stopping(StrEnum):
    """The outcome of an attempt to stop an intent's capture."""

    ASKED = "asked"  # Cloudflare took the request; the status changes later
    OVER = "over"  # it takes no more packets
    NOTHING = "nothing"  # nothing was posted, or only a simple capture, which is over at once
    UNSEEN = "unseen"  # it may have been posted: no id is journalled, and the list does not show it (yet)


@dataclass(frozen=True, slots=True)
class Stopped:
    """The result of an attempt. `capture_id` is empty where no capture is known."""

    outcome: Stopping
    capture_id: str = ""

    def __str__(self) -> str:
        """One line for people, without a promise of what Cloudflare keeps."""
        match self.outcome:
            case Stopping.ASKED:
                return f"Cloudflare was asked to stop full capture {self.capture_id}, and accepted that"
            case Stopping.OVER:
                return f"full capture {self.capture_id} is over at Cloudflare"
            case Stopping.NOTHING:
                return "no full capture of it runs at Cloudflare"
            case Stopping.UNSEEN:
                return (
                    "whether Cloudflare accepted a capture for it is not known yet: its list shows none, "
                    "and one may turn up within 7 minutes"
                )


async def stop_capture(client: Client, capture_id: str) -> Stopped:
    """Ask Cloudflare to stop a full capture. Packets that Cloudflare has not saved yet may be lost.

    Raises:
        NotStopped: Cloudflare refuses, and the capture goes on.
        ApiError: neither the request to stop nor a look at the capture got an answer.
    """
    try:
        await client.stop_capture(capture_id)
    except ApiError as error:
        return await _in_spite_of(error, client, capture_id)
    return Stopped(Stopping.ASKED, capture_id)


async def stop_unless_asked(client: Client, capture_id: str) -> Stopped:
    """As `stop_capture`, but look first: the capture may have been stopped long ago."""
    capture = await client.get_capture(capture_id)
    if not goes_on(capture):
        return Stopped(Stopping.OVER, capture_id)
    if capture.stop_requested is not None:
        return Stopped(Stopping.ASKED, capture_id)
    return await stop_capture(client, capture_id)


async def stop_intent(
    client: Client,
    journal: Journal,
    intent_id: str,
    *,
    listing: Listing | None = None,
    how: Callable[[Client, str], Awaitable[Stopped]] = stop_capture,
) -> Stopped:
    """Stop the capture that an intent has started, if there is one. One attempt.

    Args:
        client: the account's API.
        journal: where the intent is.
        intent_id: whose capture to stop.
        listing: what `GET /pcaps` shows, if it was asked just now.
        how: stops a capture.

    Raises:
        NotStopped: Cloudflare refuses, and the capture goes on.
        ApiError: Cloudflare cannot be asked.
        StoreError: the journal cannot be read.
    """
    record = await asyncio.to_thread(journal.find, intent_id)
    if record is None or not isinstance(record.intent.request, FullRequest):
        return Stopped(Stopping.NOTHING)
    if record.ended and record.ended.outcome == "archived":
        return Stopped(Stopping.OVER, record.capture_id)
    if record.capture_id:
        return await how(client, record.capture_id)
    if record.ended:
        return Stopped(Stopping.NOTHING)
    sought = await find_accepted(journal, record, listing or await client.list_captures(), client)
    if sought.capture and not await asyncio.to_thread(_is_contested, journal, intent_id, sought.capture):
        return await how(client, sought.capture.id)
    return Stopped(Stopping.NOTHING if sought.absent else Stopping.UNSEEN)


def _is_contested(journal: Journal, intent_id: str, capture: Capture) -> bool:
    """Whether a capture may be another intent's, whose run has not had time to journal it."""
    return any(
        record.capture_id == capture.id or (not record.accepted and best_match(record, capture))
        for record in journal.open()
        if record.intent.intent_id != intent_id
    )


async def stop_by_id_or_intent(
    client: Client,
    capture_id: str,
    intent_id: str,
    journal: Callable[[], Journal],
    *,
    how: Callable[[Client, str], Awaitable[Stopped]] = stop_capture,
) -> Stopped:
    """Stop a run's capture without the journal, whose store may be away, if its id is known. One attempt.

    Args:
        client: the account's API.
        capture_id: of the run's capture; empty if only the journal may know it.
        intent_id: the run's intent: the journal is asked if Cloudflare has forgotten the capture.
        journal: opens it.
        how: stops a capture.

    Raises:
        EdgecapError: as `stop_intent` raises.
    """
    if capture_id:
        with suppress(UnknownToApi):
            return await how(client, capture_id)
    return await stop_intent(client, journal(), intent_id, how=how)


async def stop_within(
    seconds: float,
    attempt: Callable[[], Awaitable[Stopped]],
    *,
    settled: Callable[[], bool] = lambda: True,
    unseen_for: float = math.inf,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Stopped:
    """Attempt until the capture is stopped or over, or until the time is up.

    Args:
        seconds: for all attempts together.
        attempt: makes one, such as `stop_intent`.
        settled: whether the run posts nothing more; until then, an outcome `NOTHING` is not final.
        unseen_for: seconds, counted from `settled`, for which a capture that the list does not show is looked
            for: the list may lag.
        sleep: waits the given seconds.
        clock: seconds, from any start.

    Returns:
        The last attempt's result; `UNSEEN` if a POST without an answer may still turn up.

    Raises:
        NotStopped: a capture may go on, and the last attempt failed; with Cloudflare's last answer.
    """
    until = clock() + seconds
    since: float | None = None
    trouble: Exception | None = None
    last = Stopped(Stopping.UNSEEN)
    while True:
        try:
            if since is None and settled():
                since = clock()
            last, trouble = await asyncio.wait_for(attempt(), max(LOOK, until - clock())), None
            if last.outcome in (Stopping.ASKED, Stopping.OVER):
                return last
            if since is not None and (last.outcome is Stopping.NOTHING or clock() - since >= unseen_for):
                return last
        except EdgecapError as error:
            trouble = error
        except TimeoutError as error:  # an earlier attempt's error says more
            trouble = trouble or error
        if clock() + LOOK >= until:
            break
        await sleep(LOOK)
    if trouble is None:
        return last
    if isinstance(trouble, NotStopped):
        raise trouble
    why = str(trouble) or f"no answer within {seconds:.0f} s"
    raise NotStopped(f"the capture could not be stopped: {why}") from trouble


async def _in_spite_of(error: ApiError, client: Client, capture_id: str) -> Stopped:
    """Look at the capture after the request to stop it failed.

    The answer may be lost, or the capture may have ended by itself just now: then there is nothing to stop.
    """
    try:
        capture = await client.get_capture(capture_id)
    except ApiError as unseen:
        raise error from unseen
    if capture.stop_requested is not None and not capture.is_final:
        return Stopped(Stopping.ASKED, capture_id)
    if goes_on(capture):
        raise NotStopped(
            f"Cloudflare does not stop capture {capture_id}, which is {capture.status}: {error.what}",
            where=error.where,
            hint="look at it in the dashboard",
        ) from error
    return Stopped(Stopping.OVER, capture_id)


def goes_on(capture: Capture) -> bool:
    """Whether a capture may take more packets. An undocumented status counts as one that does."""
    return capture.type != "simple" and not capture.is_final and not capture.status.startswith("conversion")
