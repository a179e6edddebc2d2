"""Settling an intent whose run is gone: its packets are archived, or the journal says why not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Literal

from edgecap.archive.entries import Entry
from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Accepted, Ended, Intent
from edgecap.captures.keep import Outcome
from edgecap.captures.lanes import ends
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import ApiError, CaptureFailed, DeadlinePassed, EdgecapError, UnknownToApi
from edgecap.reconcile.findings import Action, Finding, Life, Limits
from edgecap.reconcile.importer import Importer

_LOOK = 1.0  # seconds between two looks at a capture that was stopped


class IntentSettler:
    """Finishes intents from where their runs left them.

    Args:
        client: the account's API.
        journal: where endings go.
        importer: fetches and archives.
        limits: how long things are left alone.
        sleep: waits the given seconds.
    """

    def __init__(
        self,
        client: Client,
        journal: Journal,
        importer: Importer,
        limits: Limits,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._journal = journal
        self._importer = importer
        self._limits = limits
        self._sleep = sleep

    async def settle(self, intent: Intent, accepted: Accepted, life: Life) -> Finding:
        """Finish an intent whose capture is known.

        Raises:
            EdgecapError: the journal cannot be written, or the API cannot be asked. Nothing is decided then.
        """
        known = Capture.model_validate({**accepted.capture, "id": accepted.capture_id})
        if entry := await self._entry(known, intent):
            return await self._archived(intent, entry, "archived", life)
        try:
            capture = await self._client.get_capture(known.id)
        except UnknownToApi as error:
            return await self._forgotten(intent, known, life, error)
        if entry := await self._entry(capture, intent):
            return await self._archived(intent, entry, "archived", life)
        trouble = ""
        if life is Life.CANCELLED and capture.type == "full" and not capture.is_final:
            capture, trouble = await self._stopped(capture)
        if capture.failed:
            why = f"capture {capture.id} ended without packets: {capture.why_failed}"
            return await self._ended(intent, "failed", why, CaptureFailed)
        if not capture.is_final:
            return await self._not_final(intent, capture, trouble)
        return await self._bring(intent, capture, life)

    async def never_accepted(self, intent: Intent, life: Life) -> Finding:
        """End the intent as never accepted."""
        why = {
            Life.CANCELLED: "it was cancelled",
            Life.UNKNOWN: "this Prefect server does not know its run, which did not go on within a day",
        }.get(life, "its run died")
        reason = f"{why} before Cloudflare accepted it: the list of captures does not show it"
        return await self._ended(intent, "never-accepted", reason)

    async def given_up(self, intent: Intent, error: EdgecapError) -> Finding:
        """End the intent as failed: its outcome stayed unknown, and its packets are gone by now."""
        return await self._ended(intent, "failed", error.args[0], type(error))

    async def _entry(self, capture: Capture, intent: Intent) -> Entry | None:
        return await self._importer.entry_of(capture, decided=intent.decided)

    async def _bring(self, intent: Intent, capture: Capture, life: Life) -> Finding:
        outcome: Outcome = "cancelled" if life is Life.CANCELLED else "archived"
        try:
            entry = await self._importer.bring(capture, self._importer.place_for(intent), intent=intent)
        except EdgecapError as error:
            # A late run, or another reconciler, may have been faster.
            if entry_now := await self._entry(capture, intent):
                return await self._archived(intent, entry_now, outcome, life)
            if self._is_over(intent, capture):
                return await self._ended(intent, "failed", str(error), type(error))
            if isinstance(error, DeadlinePassed) and self._left_nothing(capture, life):
                reason = f"capture {capture.id} was stopped, and no file of it came into the bucket since"
                return await self._ended(intent, "cancelled", reason, type(error))
            return _finding(intent, Action.WAITING, f"capture {capture.id}: {error}")
        return await self._archived(intent, entry, outcome, life)

    def _left_nothing(self, capture: Capture, life: Life) -> bool:
        """Whether a stopped capture has left no files: they would have arrived by now.

        Files that arrive even later are imported as long as the list shows the capture.
        """
        asked = capture.stop_requested
        late = self._limits.stopped_files
        return life is Life.CANCELLED and asked is not None and self._client.server_now() - asked > late

    async def _forgotten(self, intent: Intent, known: Capture, life: Life, error: UnknownToApi) -> Finding:
        """The API does not know the capture, or no longer; a full one's files may still be in the bucket."""
        if self._client.server_now() - (known.submitted or intent.decided) < self._limits.list_lag:
            return _finding(intent, Action.WAITING, f"capture {known.id} is not known yet: {error}")
        try:
            place = self._importer.place_for(intent)
            there = place is not None and await self._importer.has_files(known, place)
        except EdgecapError as trouble:
            if self._is_over(intent, known):
                return await self._ended(intent, "failed", str(trouble), type(trouble))
            return _finding(intent, Action.WAITING, f"capture {known.id}: {trouble}")
        if there:
            return await self._bring(intent, known, life)
        return await self._ended(
            intent, "failed", f"Cloudflare knows capture {known.id} no more", type(error)
        )

    async def _not_final(self, intent: Intent, capture: Capture, trouble: str) -> Finding:
        if self._is_over(intent, capture):
            hours = self._limits.give_up.total_seconds() / 3600
            reason = f"capture {capture.id} is still {capture.status}, {hours:g} h after its time"
            return await self._ended(intent, "failed", reason, DeadlinePassed)
        stopped = " and was asked to stop" if capture.stop_requested else ""
        more = f"; {trouble}" if trouble else ""
        return _finding(intent, Action.WAITING, f"capture {capture.id} is {capture.status}{stopped}{more}")

    async def _stopped(self, capture: Capture) -> tuple[Capture, str]:
        """The capture after it was asked to stop, and the error of that, if any."""
        trouble = ""
        try:
            if capture.stop_requested is None:
                await self._client.stop_capture(capture.id)
        except ApiError as error:  # most likely it has just stopped by itself; the next look tells
            trouble = str(error)
        until = time.monotonic() + self._limits.stop_wait.total_seconds()
        while True:
            capture = await self._client.get_capture(capture.id)
            left = until - time.monotonic()
            if capture.is_final or left <= 0:
                return capture, trouble
            await self._sleep(min(_LOOK, left))

    def _is_over(self, intent: Intent, capture: Capture) -> bool:
        """Whether it is time to give up packets that still cannot be fetched."""
        now = self._client.server_now()
        return now - max(intent.decided, ends(capture, intent.decided)) > self._limits.give_up

    async def _archived(self, intent: Intent, entry: Entry, outcome: Outcome, life: Life) -> Finding:
        # A run that this Prefect server does not know may be alive elsewhere, and still fetch the files.
        cleared = await self._importer.close(intent, entry, outcome, clear=life is not Life.UNKNOWN)
        detail = f"{entry.manifest.totals}: {entry.where}" + (f"; {cleared}" if cleared else "")
        return _finding(intent, Action.ARCHIVED, detail)

    async def _ended(
        self,
        intent: Intent,
        outcome: Literal["failed", "cancelled", "never-accepted"],
        reason: str,
        kind: type[EdgecapError] | None = None,
    ) -> Finding:
        ended = Ended(
            outcome=outcome, reason=reason, error=kind.__name__ if kind else "", at=datetime.now(UTC)
        )
        await asyncio.to_thread(self._journal.end, intent.intent_id, ended)
        return _finding(intent, Action.ENDED, f"{outcome}: {reason}")


def _finding(intent: Intent, action: Action, detail: str) -> Finding:
    run = f" (run {intent.run})" if intent.run else ""
    return Finding("intent", intent.intent_id, action, " ".join(f"{detail}{run}".split()))
