"""One cancel: whose id it is, the end of the run, and the stop of its capture, side by side.

Cloudflare, the journal and Prefect are asked side by side, since any of them may be slow or away.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import JournalRecord
from edgecap.captures.stopping import (
    TIMEOUT,
    Stopped,
    Stopping,
    goes_on,
    stop_by_id_or_intent,
    stop_capture,
    stop_within,
)
from edgecap.cli.whose import PREFECT_ANSWER, WHOLE, Whose, is_over
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import ApiError, InvalidRequest, NotStopped, SetupError, StoreError, UnknownToApi
from edgecap.requests import FullRequest
from edgecap.settings import Settings
from edgecap.stores import open_store
from tasks.runtime.cancelled import Cancelled
from tasks.runtime.rest import PrefectApi

STOP_WITHIN = 14.0  # seconds
UNSEEN = 6.0  # seconds in which a POST that was under way must show in Cloudflare's list
LOOK = 1.0  # seconds between two looks at a run that ends
_CAPTURE_ID = re.compile(rf"[0-9a-f]{{{WHOLE}}}")
_LOST = "What Cloudflare had not saved by then may be lost."

_T = TypeVar("_T")


class Cancelling:
    """One cancel, with everything that it may have to ask.

    Args:
        settings: those in force.
        account: name of the account whose capture it is, if no run says so.
        archive: name of the archive whose journal knows the capture, if no run says so.
        address: Prefect's API; empty if no server is known.
    """

    def __init__(self, settings: Settings, account: str, archive: str, address: str) -> None:
        self._settings = settings
        self._account = account
        self._archive = archive
        self._address = address
        self._whose = Whose(settings, account, archive, address)
        self._is_over = False  # whether the run is over, so that nothing more is posted for it
        self._looking: asyncio.Task[None] | None = None

    async def cancel(self, which: str, *, yes: bool) -> dict[str, Any]:
        """End the run and stop the capture.

        Args:
            which: id of a run or a capture, or the beginning of one.
            yes: stop the capture even if somebody else started it. With a capture's whole id, neither the
                journal nor Prefect is waited for.

        Raises:
            NotStopped: the capture may go on, or nobody can tell whose it is.
            SetupError: Prefect was not told that the run is to end.
            InvalidRequest: nobody said that somebody else's capture is to be stopped, or it is a simple one.
            EntryMissing: there is neither a run nor a capture of that id.
        """
        asking, reading = _task(self._whose.run(which)), _task(self._whose.intent(which))
        if yes and _CAPTURE_ID.fullmatch(which):
            with suppress(UnknownToApi):  # then it may be a run's
                return await self._at_once(which, asking, reading)
        run, record = await self._named(which, asking, reading)
        if run is None and record is None:
            if self._whose.unread:
                return await self._nobody_s(which, self._whose.unread, yes=yes)
            capture = await self._whose.capture(which)
            record = await self._whose.owner(capture)
            if record is None:
                return await self._somebody_s(capture, yes=yes)
        stopping = _task(self._stop(self._of(record) if record else Cancelled.of(run or {})))
        if record and run is None:
            run = await asking or await self._whose.run(record.intent.run.partition(" ")[0])
        # What was never begun by a run that Prefect does not know cannot begin any more.
        is_ended = record is not None and record.ended is not None
        self._is_over |= run is None and (not self._whose.silent or is_ended)
        return await self._ended(run, stopping)

    async def _at_once(
        self,
        capture_id: str,
        asking: asyncio.Task[dict[str, Any] | None],
        reading: asyncio.Task[JournalRecord | None],
    ) -> dict[str, Any]:
        """Stop a capture whosesoever it is, and end the run that has it, if that can be found out.

        Raises:
            UnknownToApi: Cloudflare knows no capture of that id.
        """
        async with self._client(self._account) as client:
            try:
                _refuse_simple(await client.get_capture(capture_id))
            except UnknownToApi:
                raise
            except ApiError:  # it is asked to stop all the same
                pass
            stopping = _task(_within(lambda: stop_capture(client, capture_id)))
            with suppress(NotStopped):  # the run is to end all the same
                await stopping
        run, record = await asking, await reading
        if record and run is None:
            run = await self._whose.run(record.intent.run.partition(" ")[0])
        if run or record:
            return await self._ended(run, stopping)
        return self._somebody_s_told(await stopping)

    async def _named(
        self,
        which: str,
        asking: asyncio.Task[dict[str, Any] | None],
        reading: asyncio.Task[JournalRecord | None],
    ) -> tuple[dict[str, Any] | None, JournalRecord | None]:
        """The run or the intent that an id names, as soon as one of them is known."""
        if len(which) < WHOLE and (run := await asking):
            return run, None  # the beginning of a run's id, even if a capture's id begins so, too
        for answer in asyncio.as_completed([asking, reading]):
            if await answer:
                break
        run = asking.result() if asking.done() else None
        return run, reading.result() if reading.done() else None

    async def _ended(self, run: dict[str, Any] | None, stopping: asyncio.Task[Stopped]) -> dict[str, Any]:
        """Tell Prefect that the run is to end, and say what came of both."""
        state, stopped = await asyncio.gather(self._end(run), stopping, return_exceptions=True)
        return self._told(run, state, stopped)

    def _told(
        self, run: dict[str, Any] | None, state: str | BaseException | None, stopped: Stopped | BaseException
    ) -> dict[str, Any]:
        """What came of it.

        Raises:
            NotStopped: the capture may go on, or come yet.
            SetupError: it does not, but Prefect was not told that the run is to end.
        """
        told = f"Prefect was not asked: {self._whose.silent}; " if self._whose.silent else ""
        if run:
            told = f"{run['name']} ({run['id']})"
            told += f" is {state.lower()}; " if isinstance(state, str) else ": "
        if isinstance(stopped, NotStopped):
            more = "; its own process tries, too" if state == "Cancelling" else ""
            more += "; `edgecap reconcile` tries again, and so does `edgecap up` by itself"
            raise NotStopped(f"{told}{stopped}{more}") from stopped
        if isinstance(stopped, BaseException):
            raise stopped
        if isinstance(state, SetupError):
            raise SetupError(f"{stopped}, but the run was not told to end: {state.what}", where=state.where)
        if isinstance(state, BaseException):
            raise state
        if stopped.outcome is Stopping.UNSEEN:
            raise NotStopped(f"{told}{stopped}", hint="cancel it again then; `edgecap up` does so by itself")
        if stopped.outcome is Stopping.NOTHING and not self._is_over:
            raise NotStopped(
                f"{told}{stopped} yet, and the run is not known to have ended: it may still start one",
                hint="cancel it again; `edgecap up` does so by itself",
            )
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

    def _of(self, record: JournalRecord) -> Cancelled | None:
        """What is to be stopped for an intent; None for a simple capture, which is over at once."""
        intent = record.intent
        if not isinstance(intent.request, FullRequest):
            return None
        run_id = intent.run.partition(" ")[0]
        # What has ended needs no request: the journal says what became of it.
        capture_id = "" if record.ended else record.capture_id
        return Cancelled(run_id, intent.intent_id, intent.account, self._archive, capture_id)

    async def _end(self, run: dict[str, Any] | None) -> str | None:
        """Tell Prefect that the run is to end, and look until it has; its state's name when it was told.

        One that is over is not told: it stays what it is, even if its capture goes on.
        """
        if run is None:
            return None
        if is_over(run):
            self._is_over = True
            return str(run["state"]["name"])

        def tell() -> str:
            with PrefectApi(self._address) as prefect:
                return prefect.cancel(run["id"])

        state = await asyncio.to_thread(tell)
        self._looking = _task(self._until_over(run["id"]))
        return state

    async def _until_over(self, run_id: str) -> None:
        """A run that has a process is not over when it is told: until then, it may still post."""

        def look() -> bool:
            with PrefectApi(self._address, timeout=PREFECT_ANSWER, retry=False) as prefect:
                return is_over(prefect.find_run(run_id))

        while not self._is_over:
            with suppress(SetupError):
                self._is_over = await asyncio.to_thread(look)
            await asyncio.sleep(LOOK)

    async def _stop(self, cancelled: Cancelled | None) -> Stopped:
        if cancelled is None:
            self._is_over = True  # a run that posts no full capture
            return Stopped(Stopping.NOTHING)
        async with self._client(cancelled.account) as client:
            return await _within(
                lambda: stop_by_id_or_intent(
                    client,
                    cancelled.capture_id,
                    cancelled.intent_id,
                    lambda: Journal(open_store(self._settings.archive(cancelled.archive))),
                ),
                settled=lambda: self._is_over,
            )

    async def _nobody_s(self, which: str, unread: StoreError, *, yes: bool) -> dict[str, Any]:
        """Stop a capture of which nobody can tell whose it is, if that is meant.

        Raises:
            NotStopped: nobody says so.
        """
        if yes or _is_at_a_terminal():
            return await self._somebody_s(await self._whose.capture(which), yes=yes)
        raise NotStopped(
            f"the journal, which says whose capture it is, cannot be read: {unread.what}",
            where=unread.where,
            hint="`edgecap cancel ID --yes` with the capture's id stops it all the same",
        )

    async def _somebody_s(self, capture: Capture, *, yes: bool) -> dict[str, Any]:
        """Stop a capture that no intent of the archive has: somebody started it elsewhere."""
        _refuse_simple(capture)
        if not goes_on(capture):
            return self._somebody_s_told(Stopped(Stopping.OVER, capture.id))
        if not yes:
            _ask(capture, self._archive, self._whose.unread)
        async with self._client(self._account) as client:
            return self._somebody_s_told(await _within(lambda: stop_capture(client, capture.id)))

    def _somebody_s_told(self, stopped: Stopped) -> dict[str, Any]:
        more = f". {_LOST}" if stopped.outcome is Stopping.ASKED else "."
        if self._whose.unread:
            more += f" Whether a run of edgecap's had it is not known: {self._whose.unread.what}."
        return {
            "flow_run_id": None,
            "name": None,
            "state": None,
            "capture_id": stopped.capture_id,
            "outcome": stopped.outcome,
            "detail": f"{stopped}{more}",
        }

    def _client(self, account: str) -> Client:
        return Client(self._settings.account(account), timeout=TIMEOUT, attempts=2)


def _task(work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
    """Work that goes on beside others. That it failed is no news if nobody waits for it any more."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


async def _within(
    attempt: Callable[[], Awaitable[Stopped]], *, settled: Callable[[], bool] = lambda: True
) -> Stopped:
    return await stop_within(STOP_WITHIN, attempt, settled=settled, unseen_for=UNSEEN)


def _refuse_simple(capture: Capture) -> None:
    if capture.type == "simple":
        raise InvalidRequest(
            f"capture {capture.id} is a simple one, which is over at once", field="ID", hint="wait for it"
        )


def _is_at_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(capture: Capture, archive: str, unread: StoreError | None) -> None:
    """Ask the person whether to stop somebody's capture.

    Raises:
        InvalidRequest: there is nobody to ask, or the answer is no.
    """
    since = f" since {capture.submitted:%Y-%m-%d %H:%M}Z" if capture.submitted else ""
    where = f" at {capture.colo}" if capture.colo else ""
    what = f"capture {capture.id}{where}{since}"
    if unread:
        what += f" may be somebody else's: the journal cannot be read: {unread.what}"
    else:
        what += f" was not started by edgecap, as far as archive {archive} knows"
    if not _is_at_a_terminal():
        raise InvalidRequest(what, field="ID", hint="give --yes to stop it")
    sys.stderr.write(f"{what[0].upper()}{what[1:]}. Stop it? What is not saved yet may be lost. [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InvalidRequest(f"capture {capture.id} goes on", field="ID", hint="nothing was done")
