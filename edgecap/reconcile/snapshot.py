"""The snapshot on which reconciling decides: the API's list, the journal, and which runs are alive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Accepted, Intent, JournalRecord
from edgecap.captures.adoption import best_match
from edgecap.cloudflare.client import Client, Listing
from edgecap.cloudflare.models import Capture
from edgecap.errors import Damaged
from edgecap.reconcile.findings import Action, Finding, Life
from edgecap.requests import LOOK_BACK

LifeOf = Callable[[Intent], Awaitable[Life]]
"""Tells the state of the run that decided on an intent."""


@dataclass(frozen=True, slots=True)
class Open:
    """An intent without an ending, and the state of its run."""

    record: JournalRecord
    life: Life

    @property
    def intent(self) -> Intent:
        """The intent."""
        return self.record.intent

    @property
    def accepted(self) -> Accepted | None:
        """The accepted capture, if it is known."""
        return self.record.accepted


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The API's list and the open intents at one moment.

    Attributes:
        listing: what `GET /pcaps` shows. It is older than `open`, and intents are journalled before they are
            posted. So every capture in it that edgecap started has its intent in the journal.
        open: intents of the account without an ending, in the order of their decision.
        trouble: findings about what could not be read.
    """

    listing: Listing
    open: tuple[Open, ...]
    trouble: tuple[Finding, ...] = ()

    def is_contested(self, capture: Capture) -> bool:
        """Whether a live run that does not know its capture yet may have started this one."""
        return any(
            one.life is Life.ALIVE and one.accepted is None and best_match(one.record, capture)
            for one in self.open
        )


async def look_around(client: Client, journal: Journal, account: str, read_life: LifeOf) -> Snapshot:
    """Look at the API's list and at the intents of `account` (a name of the settings) that have no ending.

    Raises:
        ApiError: the list cannot be had.
        StoreError: the journal cannot be listed.
    """
    listing = await client.list_captures()
    records, trouble = await asyncio.to_thread(_readable, journal.open(), "the journal")
    found = []
    for record in sorted(records, key=lambda record: record.intent.decided):
        if record.intent.account != account:
            continue
        try:
            life = await read_life(record.intent)
        except Exception as error:  # noqa: BLE001 - one run that cannot be looked up must not stop the others
            detail = f"whether its run lives cannot be told: {_said(error)}"
            trouble.append(Finding("intent", record.intent.intent_id, Action.FAILED, detail))
            life = Life.ALIVE
        found.append(Open(record, life))
    return Snapshot(listing, tuple(found), tuple(trouble))


async def owners(
    journal: Journal, captures: Iterable[Capture], now: datetime
) -> tuple[dict[str, JournalRecord], list[Finding]]:
    """The intents of these captures, ended or not, by the capture's id; and what could not be read."""
    # An intent may wait for its turn for long.
    since = min((capture.submitted or now for capture in captures), default=now) - 2 * LOOK_BACK
    records, trouble = await asyncio.to_thread(_readable, journal.records(since=since), "the journal")
    return {record.capture_id: record for record in records if record.capture_id}, trouble


def _readable(records: Iterable[JournalRecord], what: str) -> tuple[list[JournalRecord], list[Finding]]:
    found = []
    try:
        for record in records:
            found.append(record)  # noqa: PERF402 - those before the error count
    except Damaged as error:
        return found, [Finding("survey", what, Action.FAILED, str(error))]
    return found, []


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
