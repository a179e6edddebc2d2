"""`edgecap cancel`: end a run and stop its full capture at Cloudflare, or stop one that others started."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from cyclopts import Parameter

from cli.options import Account, Archive, Json
from cli.output import console, print_json
from deployments.local import prefect_address
from deployments.prefect_api import PrefectApi
from edgecap import identity
from edgecap.archive.journal import Journal, JournalRecord
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import (
    Damaged,
    EntryMissing,
    InvalidRequest,
    NotStopped,
    SetupError,
    StoreError,
    UnknownToApi,
)
from edgecap.requests import LOOK_BACK
from edgecap.settings import DEFAULT, Settings, load_settings
from edgecap.stopping import TIMEOUT, Stopped, Stopping, goes_on, stop_capture, stop_intent, stop_within
from edgecap.stores import open_store
from tasks.cancelled import Cancelled

STOP_WITHIN = 14.0  # seconds
PREFECT_ANSWER = 10.0  # seconds for one answer
UNSEEN = 6.0  # seconds in which a POST that was under way must show in Cloudflare's list
_SHORTEST = 4  # letters; fewer name a run by accident
_WHOLE = 32  # hexadecimal digits of a capture's id
_LOST = "What Cloudflare had not saved by then may be lost."


def cancel(
    which: Annotated[str, Parameter(name="ID")],
    /,
    *,
    account: Account = DEFAULT,
    archive: Archive = DEFAULT,
    yes: Annotated[bool, Parameter(show_default=False)] = False,
    json: Json = False,
) -> None:
    """Cancel a run that waits or captures, or stop a full capture.

    Args:
        which: A flow run's id, as `edgecap lanes` shows it, or a capture's id; or the beginning of one.
        account: Name of the account whose capture it is.
        archive: Name of the archive whose journal knows the capture.
        yes: Stop a capture that edgecap did not start without asking.
        json: Print one JSON document.
    """
    settings = load_settings()
    if len(which) < _SHORTEST:
        raise InvalidRequest(f"{which!r} is too short", field="ID", todo=f"give {_SHORTEST} letters or more")
    address = prefect_address(settings.home)
    done = asyncio.run(_Cancelling(settings, account, archive, address).cancel(which.lower(), yes=yes))
    if json:
        print_json(done)
    else:
        console().print(done["detail"])


class _Cancelling:
    """One cancel, with everything that it may have to ask."""

    def __init__(self, settings: Settings, account: str, archive: str, address: str) -> None:
        self._settings = settings
        self._account = account
        self._archive = archive
        self._address = address
        self._silent = ""  # why Prefect could not be asked
        self._is_told = False  # whether Prefect was told that the run is to end, as far as it could be

    async def cancel(self, which: str, *, yes: bool) -> dict[str, Any]:
        """End the run and stop the capture, side by side: a slow Prefect does not hold up the stop."""
        asking = asyncio.create_task(asyncio.to_thread(self._run, which))
        try:
            record = await asyncio.to_thread(self._record, which)
        except StoreError as error:
            if (run := await asking) is None:
                if yes:  # whoever started it
                    return await self._somebody_s(await self._listed(which), yes=True)
                raise NotStopped(
                    f"the journal, which says whose capture it is, cannot be read: {error.what}",
                    where=error.where,
                    todo="`edgecap cancel ID --yes` with the capture's id stops it all the same",
                ) from error
            ended = await self._end(run)
            told = f"{run['name']} ({run['id']}) is {(ended or 'told to end').lower()}"
            told += ", and its own process stops the capture"
            raise NotStopped(
                f"{told}; the journal, which names the capture, cannot be read: {error.what}",
                where=error.where,
                todo="look at `edgecap lanes`",
            ) from error
        if len(which) < _WHOLE and await asking:
            record = None  # the beginning of a run's id, even if a capture's id begins so, too
        stopping = asyncio.create_task(self._stop(self._of(record))) if record else None
        run = await asking
        if run is None and record:
            run = await asyncio.to_thread(self._run, record.intent.run.partition(" ")[0])
        if run and stopping is None:
            stopping = asyncio.create_task(self._stop(Cancelled.of(run)))
        if stopping is None:
            capture = await self._listed(which)
            record = await asyncio.to_thread(self._owner, capture)
            if record is None:
                return await self._somebody_s(capture, yes=yes)
            stopping = asyncio.create_task(self._stop(self._of(record)))
        state, stopped = await asyncio.gather(self._end(run), stopping, return_exceptions=True)
        return self._told(run, state, stopped)

    def _told(
        self, run: dict[str, Any] | None, state: str | BaseException | None, stopped: Stopped | BaseException
    ) -> dict[str, Any]:
        """What came of it.

        Raises:
            NotStopped: the capture may go on.
            SetupError: it does not, but Prefect was not told that the run is to end.
        """
        told = f"Prefect was not asked: {self._silent}; " if self._silent else ""
        if run:
            told = f"{run['name']} ({run['id']})"
            told += f" is {state.lower()}; " if isinstance(state, str) else ": "
        if isinstance(stopped, NotStopped):
            more = "; `edgecap reconcile` tries again, and so does `edgecap up` by itself"
            raise NotStopped(f"{told}{stopped}{more}") from stopped
        if isinstance(stopped, BaseException):
            raise stopped
        if isinstance(state, SetupError):
            raise SetupError(f"{stopped}, but the run was not told to end: {state.what}", where=state.where)
        if isinstance(state, BaseException):
            raise state
        if stopped.outcome is Stopping.UNSEEN:
            raise NotStopped(f"{told}{stopped}", todo="cancel it again then; `edgecap up` does so by itself")
        told += str(stopped)
        if stopped.outcome is Stopping.ASKED:
            told += f". {_LOST} The rest is fetched by `edgecap reconcile`, which `edgecap up` does by itself"
        return {
            "flow_run_id": run["id"] if run else None,
            "name": run["name"] if run else None,
            "state": state,
            "capture_id": stopped.capture_id or None,
            "outcome": stopped.outcome,
            "detail": f"{told}.",
        }

    def _of(self, record: JournalRecord) -> Cancelled:
        intent = record.intent
        return Cancelled(intent.run.partition(" ")[0], intent.intent_id, intent.account, self._archive)

    def _journal(self) -> Journal:
        return Journal(open_store(self._settings.archive(self._archive)))

    def _run(self, which: str) -> dict[str, Any] | None:
        """The run that is not over, by its id or the beginning of it."""
        if not self._address:
            self._silent = "no server is known (PREFECT_API_URL)"
            return None
        try:
            with PrefectApi(self._address, timeout=PREFECT_ANSWER, insist=False) as prefect:
                with suppress(ValueError, SetupError):
                    run = prefect.run(str(UUID(which)))
                    return run if run["state"]["type"] not in ("COMPLETED", "FAILED", "CANCELLED") else None
                found = [run for run in prefect.unfinished() if str(run["id"]).startswith(which)]
                return found[0] if len(found) == 1 else None
        except SetupError as error:
            self._silent = error.what
            return None

    def _record(self, which: str) -> JournalRecord | None:
        """What the journal knows of a run or a capture."""
        journal = self._journal()
        with suppress(ValueError):
            if record := journal.find(identity.intent_id(str(UUID(which)))):
                return record
        found: list[JournalRecord] = []
        with suppress(Damaged):  # it names what could not be read, after all that could
            found.extend(record for record in journal.open() if record.capture_id.startswith(which))
        return found[0] if len(found) == 1 else None

    def _owner(self, capture: Capture) -> JournalRecord | None:
        """The intent that led to a capture, also one that was given up."""
        since = (capture.submitted or datetime.now(UTC)) - 2 * LOOK_BACK  # it may have waited for long
        with suppress(Damaged):  # it names what could not be read, after all that could
            for record in self._journal().records(since=since):
                if record.capture_id == capture.id:
                    return record
        return None

    async def _listed(self, which: str) -> Capture:
        """A capture that Cloudflare knows.

        Raises:
            EntryMissing: there is none, or several have ids that begin so.
        """
        async with self._client(self._account) as client:
            found = [each for each in (await client.list_captures()).captures if each.id.startswith(which)]
            if not found and len(which) == _WHOLE:
                with suppress(UnknownToApi, InvalidRequest):
                    found = [await client.get_capture(which)]
        if len(found) == 1:
            return found[0]
        silent = f"; Prefect was not asked: {self._silent}" if self._silent else ""
        raise EntryMissing(
            f"no unfinished run and no capture of account {self._account} is called {which!r}{silent}",
            todo="`edgecap lanes` shows those that wait and run",
        )

    async def _end(self, run: dict[str, Any] | None) -> str | None:
        """Tell Prefect that the run is to end; its state then."""
        if run is None:
            self._is_told = True
            return None

        def tell() -> str:
            with PrefectApi(self._address) as prefect:
                return prefect.cancel(run["id"])

        try:
            return await asyncio.to_thread(tell)
        finally:
            self._is_told = True

    async def _stop(self, cancelled: Cancelled | None) -> Stopped:
        if cancelled is None:
            return Stopped(Stopping.NOTHING)
        journal = Journal(open_store(self._settings.archive(cancelled.archive)))
        async with self._client(cancelled.account) as client:
            return await _within(
                lambda: stop_intent(client, journal, cancelled.intent_id), settled=lambda: self._is_told
            )

    async def _somebody_s(self, capture: Capture, *, yes: bool) -> dict[str, Any]:
        """Stop a capture that no intent of the archive has: somebody started it elsewhere."""
        if capture.type == "simple":
            raise InvalidRequest(
                f"capture {capture.id} is a simple one, which is over at once", field="ID", todo="wait for it"
            )
        if not goes_on(capture):
            stopped = Stopped(Stopping.OVER, capture.id)
        else:
            if not yes:
                _ask(capture, self._archive)
            async with self._client(self._account) as client:
                stopped = await _within(lambda: stop_capture(client, capture.id))
        more = f". {_LOST}" if stopped.outcome is Stopping.ASKED else "."
        return {
            "flow_run_id": None,
            "name": None,
            "state": None,
            "capture_id": capture.id,
            "outcome": stopped.outcome,
            "detail": f"{stopped}{more}",
        }

    def _client(self, account: str) -> Client:
        return Client(self._settings.account(account), timeout=TIMEOUT, attempts=2)


async def _within(
    attempt: Callable[[], Awaitable[Stopped]], *, settled: Callable[[], bool] = lambda: True
) -> Stopped:
    return await stop_within(STOP_WITHIN, attempt, settled=settled, unseen_for=UNSEEN)


def _ask(capture: Capture, archive: str) -> None:
    """Ask the person whether to stop somebody's capture.

    Raises:
        InvalidRequest: there is nobody to ask, or the answer is no.
    """
    since = f" since {capture.submitted:%Y-%m-%d %H:%M}Z" if capture.submitted else ""
    where = f" at {capture.colo}" if capture.colo else ""
    what = f"capture {capture.id}{where}{since} was not started by edgecap, as far as archive {archive} knows"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InvalidRequest(what, field="ID", todo="give --yes to stop it")
    sys.stderr.write(f"{what[0].upper()}{what[1:]}. Stop it? What is not saved yet may be lost. [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InvalidRequest(f"capture {capture.id} goes on", field="ID", todo="nothing was done")
