"""Finding the capture that an earlier life of an intent started and could not write down."""

from __future__ import annotations

import asyncio

from edgecap.archive.journal import Intent, Journal
from edgecap.cloudflare.client import Listing
from edgecap.cloudflare.models import Capture
from edgecap.lanes import find_ours
from edgecap.requests import LOOK_BACK


async def look_for(journal: Journal, intent: Intent, listing: Listing) -> Capture | None:
    """The intent's capture in the list, unless another intent of the journal has it.

    Where the API rounds `offset_time`, two like requests within a second look alike.

    Args:
        journal: where other intents say which captures are theirs.
        intent: whose capture to look for; the journal names none for it.
        listing: what `GET /pcaps` shows.

    Raises:
        StoreError: the journal cannot be read; Damaged if a record of it cannot.
    """
    taken: set[str] = set()
    while found := find_ours(
        intent.body, intent.request, listing.captures, decided=intent.decided, taken=taken
    ):
        if not await asyncio.to_thread(_taken, journal, intent, found.id):
            return found
        taken.add(found.id)
    return None


def _taken(journal: Journal, intent: Intent, capture_id: str) -> bool:
    return any(
        record.capture_id == capture_id and record.intent.intent_id != intent.intent_id
        for record in journal.records(since=intent.decided - LOOK_BACK)
    )
