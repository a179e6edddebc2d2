"""Cancel a run: find its id, end the run, and stop its capture.

Cloudflare, the journal and Prefect are queried in parallel, because each of them may be slow or down.
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
from edgecap.cli.id_lookup import PREFECT_ANSWER, WHOLE, IdLookup, is_over
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import ApiError, InvalidRequest, NotStopped, SetupError, StoreError, UnknownToApi
from edgecap.requests import FullRequest
from edgecap.settings import Settings
from edgecap.stores import open_store
from tasks.runtime.cancelled import Cancelled
from tasks.runtime.prefect_server import PrefectServer
from tasks.runtime.rest import PrefectApi

STOP_WITHIN = 14.0  # seconds
UNSEEN = 6.0  # seconds until a POST that was being sent must show in Cloudflare's list
LOOK = 1.0  # seconds between two checks of a run that ends
_CAPTURE_ID = re.compile(rf"[0-9a-f]{{{WHOLE}}}")
_LOST = "Packets that Cloudflare had not saved by then may be lost."

_T = TypeVar("_T")


class Cancelling:
    """One cancel, and the services that it queries.

    Args:
        settings: the current settings.
        account: name of the capture's account, if no run names it.
        archive: name of the archive with the capture's journal, if no run names it.
        server: Prefect's; None if no server is known.
    """

    def __init__(self, settings: Settings, account: str, archive: str, server: PrefectServer | None) -> None:
        self._settings = settings
        self._account = account
        self._archive = archive
        self._server = server
        self._lookup = IdLookup(settings, account, archive, server)
        self._is_over = False  # whether the run has ended, so that it posts nothing more
        self._looking: asyncio.Task[None] | None = None

    async def cancel(self, which: str, *, yes: bool) -> dict[str, Any]:
        """End the run and stop the capture.

        Args:
            which: id of a run or a capture, or its first characters.
            yes: stop the capture even if it was started elsewhere. With a capture's whole id, do not wait for
                the journal and Prefect.

        Raises:
            NotStopped: the capture may go on, or its owner cannot be determined.
            SetupError: Prefect could not be told to end the run.
            InvalidRequest: stopping a capture started elsewhere was not confirmed, or it is a simple one.
            EntryMissing: no run and no capture has this id.
        """
        asking, reading = _task(self._lookup.run(which)), _task(self._lookup.intent(which))
        if yes and _CAPTURE_ID.fullmatch(which):
            with suppress(UnknownToApi):  # it may be a run's id
                return await self._at_once(which, asking, reading)
        run, record = await self._named(which, asking, reading)
        if run is None and record is None:
            if self._lookup.unread:
                return await self._stop_unknown(which, self._lookup.unread, yes=yes)
            capture = await self._lookup.capture(which)
            record = await self._lookup.owner(capture)
            if record is None:
                return await self._stop_foreign(capture, yes=yes)
        stopping = _task(self._stop(self._of(record) if record else Cancelled.of(run or {})))
        if record and run is None:
            run = await asking or await self._lookup.run(record.intent.run.partition(" ")[0])
        # An intent that never began, of a run that Prefect does not know, cannot begin any more.
        is_ended = record is not None and record.ended is not None
        self._is_over |= run is None and (not self._lookup.silent or is_ended)
        return await self._ended(run, stopping)

    async def _at_once(
        self,
        capture_id: str,
        asking: asyncio.Task[dict[str, Any] | None],
        reading: asyncio.Task[JournalRecord | None],
    ) -> dict[str, Any]:
        """Stop a capture, even one started elsewhere, and end its run, if there is one.

        Raises:
            UnknownToApi: Cloudflare does not know the id.
        """
        async with self._client(self._account) as client:
            try:
                _refuse_simple(await client.get_capture(capture_id))
            except UnknownToApi:
                raise
            except ApiError:  # stop it anyway
                pass
            stopping = _task(_within(lambda: stop_capture(client, capture_id)))
            with suppress(NotStopped):  # end the run anyway
                await stopping
        run, record = await asking, await reading
        if record and run is None:
            run = await self._lookup.run(record.intent.run.partition(" ")[0])
        if run or record:
            return await self._ended(run, stopping)
        return self._foreign_result(await stopping)

    async def _named(
        self,
        which: str,
        asking: asyncio.Task[dict[str, Any] | None],
        reading: asyncio.Task[JournalRecord | None],
    ) -> tuple[dict[str, Any] | None, JournalRecord | None]:
        """The run or the intent with this id, as soon as one of them is found."""
        if len(which) < WHOLE and (run := await asking):
            return run, None  # a run's id takes precedence over a capture's with the same beginning
        for answer in asyncio.as_completed([asking, reading]):
            if await answer:
                break
        run = asking.result() if asking.done() else None
        return run, reading.result() if reading.done() else None

    async def _ended(self, run: dict[str, Any] | None, stopping: asyncio.Task[Stopped]) -> dict[str, Any]:
        """Tell Prefect to end the run, and report both results."""
        state, stopped = await asyncio.gather(self._end(run), stopping, return_exceptions=True)
        return self._result(run, state, stopped)

    def _result(
        self, run: dict[str, Any] | None, state: str | BaseException | None, stopped: Stopped | BaseException
    ) -> dict[str, Any]:
        """Report the results.

        Raises:
            NotStopped: the capture may go on, or may still start.
            SetupError: it does not, but Prefect could not be told to end the run.
        """
        told = f"Prefect was not asked: {self._lookup.silent}; " if self._lookup.silent else ""
        if run:
            told = f"{run['name']} ({run['id']})"
            told += f" is {state.lower()}; " if isinstance(state, str) else ": "
        if isinstance(stopped, NotStopped):
            more = "; the run's own process also tries" if state == "Cancelling" else ""
            more += "; `edgecap reconcile` tries again, and `edgecap up` does so by itself"
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
                f"{told}{stopped} yet, and the run may not have ended: it may still start one",
                hint="cancel it again; `edgecap up` does so by itself",
            )
        told += str(stopped)
        if stopped.outcome is Stopping.ASKED:
            told += f". {_LOST} `edgecap reconcile` fetches the rest; `edgecap up` runs it by itself"
        return {
            "flow_run_id": run["id"] if run else None,
            "name": run["name"] if run else None,
            "state": state,
            "capture_id": stopped.capture_id or None,
            "outcome": stopped.outcome,
            "detail": f"{told}.",
        }

    def _of(self, record: JournalRecord) -> Cancelled | None:
        """The capture to stop for an intent; None for a simple capture, which ends by itself at once."""
        intent = record.intent
        if not isinstance(intent.request, FullRequest):
            return None
        run_id = intent.run.partition(" ")[0]
        # Once the intent has ended, the journal has the result, and no request is needed.
        capture_id = "" if record.ended else record.capture_id
        return Cancelled(run_id, intent.intent_id, intent.account, self._archive, capture_id)

    async def _end(self, run: dict[str, Any] | None) -> str | None:
        """Tell Prefect to end the run, and wait until it has ended; returns its state's name.

        A run that has ended keeps its state, even if its capture goes on.
        """
        if run is None:
            return None
        if is_over(run):
            self._is_over = True
            return str(run["state"]["name"])

        server = self._server
        assert server is not None  # which has told of the run

        def tell() -> str:
            with PrefectApi(server) as prefect:
                return prefect.cancel(run["id"])

        state = await asyncio.to_thread(tell)
        self._looking = _task(self._until_over(server, run["id"]))
        return state

    async def _until_over(self, server: PrefectServer, run_id: str) -> None:
        """Wait until the run's process has ended: until then, it may still post."""

        def look() -> bool:
            with PrefectApi(server, timeout=PREFECT_ANSWER, retry=False) as prefect:
                return is_over(prefect.find_run(run_id))

        while not self._is_over:
            with suppress(SetupError):
                self._is_over = await asyncio.to_thread(look)
            await asyncio.sleep(LOOK)

    async def _stop(self, cancelled: Cancelled | None) -> Stopped:
        if cancelled is None:
            self._is_over = True  # the run posts no full capture
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

    async def _stop_unknown(self, which: str, unread: StoreError, *, yes: bool) -> dict[str, Any]:
        """Stop a capture whose owner is unknown, if that is confirmed.

        Raises:
            NotStopped: it is not confirmed.
        """
        if yes or _is_at_a_terminal():
            return await self._stop_foreign(await self._lookup.capture(which), yes=yes)
        raise NotStopped(
            f"the journal, which knows who started the capture, cannot be read: {unread.what}",
            where=unread.where,
            hint="`edgecap cancel ID --yes` with the capture's id stops it anyway",
        )

    async def _stop_foreign(self, capture: Capture, *, yes: bool) -> dict[str, Any]:
        """Stop a capture without an intent in the archive: it was started elsewhere."""
        _refuse_simple(capture)
        if not goes_on(capture):
            return self._foreign_result(Stopped(Stopping.OVER, capture.id))
        if not yes:
            _ask(capture, self._archive, self._lookup.unread)
        async with self._client(self._account) as client:
            return self._foreign_result(await _within(lambda: stop_capture(client, capture.id)))

    def _foreign_result(self, stopped: Stopped) -> dict[str, Any]:
        more = f". {_LOST}" if stopped.outcome is Stopping.ASKED else "."
        if self._lookup.unread:
            more += f" It is unknown whether a run of edgecap had it: {self._lookup.unread.what}."
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
    """Start parallel work. If nothing awaits it any more, its failure is ignored."""
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
            f"capture {capture.id} is a simple one, which ends by itself", field="ID", hint="wait for it"
        )


def _is_at_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(capture: Capture, archive: str, unread: StoreError | None) -> None:
    """Ask whether to stop a capture that was started elsewhere.

    Raises:
        InvalidRequest: stdin is not a terminal, or the answer is no.
    """
    since = f" since {capture.submitted:%Y-%m-%d %H:%M}Z" if capture.submitted else ""
    where = f" at {capture.colo}" if capture.colo else ""
    what = f"capture {capture.id}{where}{since}"
    if unread:
        what += f" may be another user's: the journal cannot be read: {unread.what}"
    else:
        what += f" was not started by edgecap, according to archive {archive}"
    if not _is_at_a_terminal():
        raise InvalidRequest(what, field="ID", hint="give --yes to stop it")
    sys.stderr.write(f"{what[0].upper()}{what[1:]}. Stop it? Unsaved packets may be lost. [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InvalidRequest(f"capture {capture.id} goes on", field="ID", hint="nothing was stopped")
