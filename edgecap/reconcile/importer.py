"""Importing a capture that is over, edgecap's own or another's: its packets go into the archive."""

from __future__ import annotations

import asyncio
from datetime import datetime

from edgecap.archive.entries import Entry, read_entry
from edgecap.archive.journal_records import Intent
from edgecap.archive.layout import entry_prefix
from edgecap.captures.delivery import matching
from edgecap.captures.destinations import contains, read_destination
from edgecap.captures.fetching import Fetching, fetch_full, fetch_simple
from edgecap.captures.keep import Outcome, close, keep
from edgecap.captures.lanes import ends
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import ConfigError, DeadlinePassed, EntryMissing, UnexpectedAnswer
from edgecap.requests import FullRequest
from edgecap.settings import Settings, StoreLocation, Timing
from edgecap.settings.uri import parse_uri
from edgecap.stores import open_store
from edgecap.stores.base import Store


class Importer:
    """Fetches and archives as a run does. To do it again, or at the same time as a run, changes nothing.

    Args:
        client: the account's API.
        archive: where entries go.
        settings: the buckets, and how long to wait for files.
    """

    def __init__(self, client: Client, archive: Store, settings: Settings) -> None:
        self._client = client
        self._archive = archive
        self._settings = settings

    async def entry_of(self, capture: Capture, *, decided: datetime | None = None) -> Entry | None:
        """The capture's entry, if there is one.

        Raises:
            UnexpectedAnswer: the place of its entry is unknown.
            Damaged: its entry cannot be read.
        """
        prefix = entry_prefix(capture, decided=decided)
        try:
            return await asyncio.to_thread(read_entry, self._archive, prefix)
        except EntryMissing:
            return None

    async def bring(
        self, capture: Capture, place: StoreLocation | None, *, intent: Intent | None = None
    ) -> Entry:
        """Fetch a capture's packets and archive them.

        Args:
            capture: one that is over.
            place: the bucket of a full one.
            intent: the journal's record, if edgecap started it.

        Raises:
            DeadlinePassed: no file of a full capture is in its bucket (yet).
            EdgecapError: as fetching and archiving raise.
        """
        decided = intent.decided if intent else None
        limit = getattr(intent.request, "byte_limit", None) if intent else None
        fetched = await self._fetch(capture, place, entry_prefix(capture, decided=decided), limit)
        return await asyncio.to_thread(keep, self._archive, capture, fetched, intent)

    async def close(
        self, intent: Intent, entry: Entry, outcome: Outcome = "archived", *, clear: bool = True
    ) -> str:
        """End an intent whose packets are kept, as `edgecap.captures.keep.close` does.

        Returns:
            What was deleted of the delivered files, one line; empty if nothing was to be.
        """
        cleared = await asyncio.to_thread(
            close, self._archive, self._settings, intent, entry, outcome=outcome, clear=clear
        )
        return str(cleared or "")

    async def has_files(self, capture: Capture, place: StoreLocation) -> bool:
        """Whether anything of a full capture is in its bucket."""
        return bool(await asyncio.to_thread(matching, open_store(place), capture.id))

    def place_for(self, intent: Intent) -> StoreLocation | None:
        """The bucket to which the intent's full capture was written; None for a simple one.

        Raises:
            ConfigError: the settings no longer know it.
        """
        request = intent.request
        return self._settings.bucket(request.bucket) if isinstance(request, FullRequest) else None

    def place_named_by(self, capture: Capture) -> StoreLocation | None:
        """The bucket of the settings that a full capture names as its destination; None if there is none."""
        destination = read_destination(capture.destination_conf)
        for place in self._settings.buckets.values() if destination else ():
            try:
                address = parse_uri(place.uri)
            except ConfigError:
                continue  # captures that use this bucket report the error
            if destination and contains(address, destination):
                return place
        return None

    async def _fetch(
        self, capture: Capture, place: StoreLocation | None, prefix: str, byte_limit: int | None
    ) -> Fetching:
        if capture.type == "simple":
            # Without patience: other captures must not wait for this file, and the next reconcile asks again.
            return await fetch_simple(self._client, capture, self._archive, prefix=prefix, patience=0)
        if place is None:
            raise UnexpectedAnswer(
                f"a capture of type {capture.type or 'unknown'!r} has no bucket",
                where=f"capture {capture.id}",
                hint="look at it in the dashboard",
            )
        bucket = open_store(place)
        if not await self.has_files(capture, place):  # other captures must not wait for these files
            raise DeadlinePassed(
                f"no file of capture {capture.id} is in the bucket",
                where=bucket.uri,
                hint="look at the bucket's permissions for Cloudflare",
            )
        return await fetch_full(
            bucket,
            capture,
            self._archive,
            self._patience(capture),
            prefix=prefix,
            byte_limit=byte_limit,
        )

    def _patience(self, capture: Capture) -> Timing:
        """The timing for files some of which are there: the rest of their time, but enough to settle."""
        timing = self._settings.timing
        clock = timing.server_clock(self._client.server_now)
        # A capture that reached its limit is over before its time.
        left = timing.delivery + min(0.0, clock.until(ends(capture, clock.now())).total_seconds())
        return timing.model_copy(update={"delivery": max(left, 3 * timing.settle + 2)})
