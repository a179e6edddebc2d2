"""Look up an id: a run in Prefect, an intent in the journal, or a capture in Cloudflare's list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import JournalRecord
from edgecap.captures import identity
from edgecap.captures.stopping import TIMEOUT
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import (
    Damaged,
    EntryMissing,
    InvalidRequest,
    SetupError,
    StoreError,
    StoreUnreachable,
    UnknownToApi,
)
from edgecap.requests import LOOK_BACK
from edgecap.settings import Settings
from edgecap.stores import open_store
from tasks.runtime.cancelled import CAPTURE
from tasks.runtime.prefect_server import PrefectServer
from tasks.runtime.rest import PrefectApi

PREFECT_ANSWER = 10.0  # seconds to wait for one answer
JOURNAL = 10.0  # seconds for all journal reads of one lookup
WHOLE = 32  # hexadecimal digits of a capture's id
_OVER = ("COMPLETED", "FAILED", "CANCELLED")  # a crashed run may be resumed


class IdLookup:
    """Looks up an id in Prefect, the journal and Cloudflare's list.

    Args:
        settings: the current settings.
        account: name of the captures' account.
        archive: name of the journal's archive.
        server: Prefect's; None if no server is known.

    Attributes:
        silent: why Prefect could not be queried; empty if it could.
        unread: why the journal could not be read, or None.
    """

    def __init__(self, settings: Settings, account: str, archive: str, server: PrefectServer | None) -> None:
        self._settings = settings
        self._account = account
        self._archive = archive
        self._server = server
        self.silent = ""
        self.unread: StoreError | None = None

    async def run(self, which: str) -> dict[str, Any] | None:
        """A run by its id, or an unfinished one by its first characters; None also if Prefect is silent."""
        return await asyncio.to_thread(self._run, which)

    def _run(self, which: str) -> dict[str, Any] | None:
        if not self._server:
            self.silent = "no server is known (PREFECT_API_URL)"
            return None
        try:
            with PrefectApi(self._server, timeout=PREFECT_ANSWER, retry=False) as prefect:
                with suppress(ValueError):
                    if (run := prefect.find_run(str(UUID(which)))) or len(which) > WHOLE:
                        return run
                found = [run for run in prefect.unfinished() if _is_named(run, which)]
                return found[0] if len(found) == 1 else None
        except SetupError as error:
            self.silent = error.what
            return None

    async def intent(self, which: str) -> JournalRecord | None:
        """The journal's record of a run or a capture; None also if the journal cannot be read."""
        return await self._unless_unread(lambda: self._record(which))

    async def owner(self, capture: Capture) -> JournalRecord | None:
        """The intent that led to a capture, even if it was given up."""
        return await self._unless_unread(lambda: self._record_of(capture))

    async def _unless_unread(self, ask: Callable[[], JournalRecord | None]) -> JournalRecord | None:
        try:
            return await asyncio.wait_for(asyncio.to_thread(ask), JOURNAL)
        except StoreError as error:
            self.unread = error
        except TimeoutError:
            where = self._settings.archive(self._archive).uri
            self.unread = StoreUnreachable(f"no answer within {JOURNAL:.0f} s", where=where)
        return None

    def _record(self, which: str) -> JournalRecord | None:
        journal = Journal(open_store(self._settings.archive(self._archive)))
        with suppress(ValueError):
            if record := journal.find(identity.intent_id(str(UUID(which)))):
                return record
        found: list[JournalRecord] = []
        with suppress(Damaged):  # raised after all readable records
            found.extend(record for record in journal.open() if record.capture_id.startswith(which))
        return found[0] if len(found) == 1 else None

    def _record_of(self, capture: Capture) -> JournalRecord | None:
        since = (capture.submitted or datetime.now(UTC)) - 2 * LOOK_BACK  # the run may have waited for long
        for record in Journal(open_store(self._settings.archive(self._archive))).records(since=since):
            if record.capture_id == capture.id:
                return record
        return None

    async def capture(self, which: str) -> Capture:
        """A capture in Cloudflare's list.

        Raises:
            EntryMissing: none or several have ids that begin so.
        """
        async with Client(self._settings.account(self._account), timeout=TIMEOUT, attempts=2) as client:
            found = [each for each in (await client.list_captures()).captures if each.id.startswith(which)]
            if not found and len(which) == WHOLE:
                with suppress(UnknownToApi, InvalidRequest):
                    found = [await client.get_capture(which)]
        if len(found) == 1:
            return found[0]
        silent = f"; Prefect was not asked: {self.silent}" if self.silent else ""
        raise EntryMissing(
            f"no unfinished run and no capture of account {self._account} has the id {which!r}{silent}",
            hint="`edgecap lanes` shows those that wait and run",
        )


def is_over(run: dict[str, Any] | None) -> bool:
    """Whether a run posts nothing more: it has ended, or Prefect does not know it."""
    return run is None or run["state"]["type"] in _OVER


def _is_named(run: dict[str, Any], which: str) -> bool:
    """Whether `which` is the beginning of the run's id or of its capture's."""
    names = (str(run["id"]), str((run.get("labels") or {}).get(CAPTURE) or ""))
    return any(name.startswith(which) for name in names)
