"""`edgecap cancel`: end a run and stop its full capture at Cloudflare, or stop one that others started."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from cyclopts import Parameter

from cli.options import Account, Archive, Json
from cli.output import console, print_json
from deployments.local import running_setup
from deployments.prefect_api import PrefectApi
from edgecap import identity
from edgecap.archive.journal import Journal, JournalRecord
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import EntryMissing, InvalidRequest, NotStopped, SetupError, UnknownToApi
from edgecap.reconcile.survey import owners
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


@dataclass(frozen=True, slots=True)
class _Target:
    """What is to be cancelled: a run, an intent, a capture, or several of them that belong together.

    Attributes:
        run: the run, as Prefect's API shows it.
        cancelled: the run's intent, or an intent whose run Prefect does not know.
        capture: a capture that no intent of the archive has.
    """

    run: dict[str, Any] | None = None
    cancelled: Cancelled | None = None
    capture: Capture | None = None

    @property
    def is_asleep(self) -> bool:
        """Whether no process works on the run: then nothing is being posted for it."""
        return bool(self.run) and (self.run or {})["state"]["type"] == "SCHEDULED"


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
    setup = running_setup(settings.home)
    address = os.environ.get("PREFECT_API_URL") or (setup["api_url"] if setup else "")
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

    async def cancel(self, which: str, *, yes: bool) -> dict[str, Any]:
        target = await self._find(which)
        if target.capture:
            return await self._somebody_s(target.capture, yes=yes)
        assert target.run or target.cancelled
        # Side by side: neither a slow Prefect nor a slow Cloudflare holds the other up.
        state, stopped = await asyncio.gather(
            self._end(target.run), self._stop(target), return_exceptions=True
        )
        told = self._told(target, state)
        if isinstance(stopped, NotStopped):
            more = "; `edgecap reconcile` tries again, and so does `edgecap up` by itself"
            raise NotStopped(f"{told}{stopped}{more}") from stopped
        if isinstance(stopped, BaseException):
            raise stopped
        if isinstance(state, SetupError):
            raise SetupError(f"{stopped}, but the run was not told to end: {state.what}", where=state.where)
        if isinstance(state, BaseException):
            raise state
        told += str(stopped)
        if stopped.outcome is Stopping.ASKED:
            told += f". {_LOST} The rest is fetched by `edgecap reconcile`, which `edgecap up` does by itself"
        return {
            "flow_run_id": target.run["id"] if target.run else None,
            "name": target.run["name"] if target.run else None,
            "state": state,
            "capture_id": stopped.capture_id or None,
            "outcome": stopped.outcome,
            "detail": f"{told}.",
        }

    def _told(self, target: _Target, state: object) -> str:
        if target.run:
            name = f"{target.run['name']} ({target.run['id']})"
            return f"{name} is {state.lower()}; " if isinstance(state, str) else f"{name}: "
        return f"Prefect was not asked: {self._silent}; " if self._silent else ""

    async def _find(self, which: str) -> _Target:
        run, record = await asyncio.gather(
            asyncio.to_thread(self._run, which), asyncio.to_thread(self._record, which)
        )
        if run is None and record:
            run = await asyncio.to_thread(self._run, record.intent.run.partition(" ")[0])
        if run:
            return _Target(run, Cancelled.of(run))
        if record:
            return self._of(record)
        if capture := await self._listed(which):
            owned, _ = await owners(self._journal(), [capture], datetime.now(UTC))
            if record := owned.get(capture.id):
                return self._of(record)
            return _Target(capture=capture)
        silent = f"; Prefect was not asked: {self._silent}" if self._silent else ""
        raise EntryMissing(
            f"no unfinished run and no capture of account {self._account} is called {which!r}{silent}",
            todo="`edgecap lanes` shows those that wait and run",
        )

    def _of(self, record: JournalRecord) -> _Target:
        """An intent whose run Prefect does not know, or does not tell of."""
        intent = record.intent
        run_id = intent.run.partition(" ")[0]
        return _Target(cancelled=Cancelled(run_id, intent.intent_id, intent.account, self._archive))

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
        found = [record for record in journal.open() if record.capture_id.startswith(which)]
        return found[0] if len(found) == 1 else None

    async def _listed(self, which: str) -> Capture | None:
        """A capture that Cloudflare knows."""
        async with self._client(self._account) as client:
            found = [each for each in (await client.list_captures()).captures if each.id.startswith(which)]
            if not found and len(which) == _WHOLE:
                with suppress(UnknownToApi, InvalidRequest):
                    found = [await client.get_capture(which)]
        return found[0] if len(found) == 1 else None

    async def _end(self, run: dict[str, Any] | None) -> str | None:
        """Tell Prefect that the run is to end; its state then."""
        if run is None:
            return None

        def tell() -> str:
            with PrefectApi(self._address) as prefect:
                return prefect.cancel(run["id"])

        return await asyncio.to_thread(tell)

    async def _stop(self, target: _Target) -> Stopped:
        if target.cancelled is None:
            return Stopped(Stopping.NOTHING)
        journal = Journal(open_store(self._settings.archive(target.cancelled.archive)))
        async with self._client(target.cancelled.account) as client:
            intent = target.cancelled.intent_id
            return await _within(
                lambda: stop_intent(client, journal, intent), unseen_for=0 if target.is_asleep else UNSEEN
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


async def _within(attempt: Callable[[], Awaitable[Stopped]], *, unseen_for: float = 0) -> Stopped:
    return await stop_within(STOP_WITHIN, attempt, unseen_for=unseen_for)


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
