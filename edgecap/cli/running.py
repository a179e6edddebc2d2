"""Run a capture in this process and in Prefect's UI: show its progress, handle Ctrl-C.

The run has its own thread, so that the main thread can always handle a signal, ask and answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast
from uuid import UUID

from rich.progress import TextColumn, TimeElapsedColumn

from edgecap.captures.stopping import Stopped, Stopping
from edgecap.cli.forked import is_forked
from edgecap.cli.interrupting import Signalled, asks, leave_now, left_behind, signals, stop_wanted
from edgecap.cli.output import printable, say
from edgecap.cli.prefect_client import (
    chosen_server,
    other_server,
    point_at_prefect,
    protect_temporary_server,
)
from edgecap.cli.progress import titled_bar
from edgecap.errors import EdgecapError, NotStopped, SetupError
from edgecap.redact import redact
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.settings import Settings
from edgecap.settings.permissions import open_to_others
from tasks.runtime.prefect_names import RUN_LOGGERS
from tasks.runtime.rest import PrefectApi

if TYPE_CHECKING:
    from tasks.archive import EntrySummary
    from tasks.runtime.cancelling import Watched

LOOK = 1.0  # seconds between two checks of the run's progress
REPORTED = 5.0  # seconds to report the end of an interrupted run to Prefect
_OURS = {"tasks", "flows"}


class CancelledInPrefect(Exception):
    """The run was cancelled in Prefect, not at this terminal. The text says what became of the capture."""


class _Listener(logging.Handler):
    """Receives the log lines of the flow and its tasks, and with them the run's id."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._on_line = on_line
        self.run_id = ""

    def emit(self, record: logging.LogRecord) -> None:
        run_id = str(getattr(record, "flow_run_id", "") or "")
        if run_id and not self.run_id:
            self.run_id = run_id
        if Path(record.pathname).parent.name in _OURS:
            self._on_line(printable(redact(record.getMessage())))


class _Shown:
    """The run's progress on stderr: a bar on a terminal, else a line per change."""

    def __init__(self, title: str) -> None:
        self._bar = titled_bar(TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn())
        if self._bar:
            self._task = self._bar.add_task(title, total=100)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Stop writing to the terminal."""
        if self._bar:
            self._bar.stop()

    def line(self, text: str) -> None:
        if self._bar:
            self._bar.update(self._task, description=text)
        else:
            say(text)

    def per_cent(self, value: float) -> None:
        if self._bar:
            self._bar.update(self._task, completed=value)


def run_capture(
    request: SimpleRequest | FullRequest,
    settings: Settings,
    *,
    account: str,
    archive: str,
    detach: bool = False,
) -> EntrySummary:
    """Run the flow `capture` in this process with the chosen Prefect server, and wait for its end.

    Args:
        request: what to capture.
        settings: the current settings.
        account: name of the account.
        archive: name of the archive.
        detach: Ctrl-C leaves a full capture running at Cloudflare.

    Raises:
        EdgecapError: the flow's error; NotStopped if a capture may go on although it was to be stopped.
        KeyboardInterrupt: Ctrl-C, or cancelled in Prefect; the text says what became of the capture.
    """
    server = chosen_server(settings.home)
    pages = point_at_prefect(settings.home)
    for line in open_to_others(settings):
        say(line)
    if server:
        say(server)
    if is_forked():
        from tasks.runtime.compat import read_environment_again  # noqa: PLC0415 - Prefect is imported by now

        read_environment_again()
    with _Shown(str(request)) as shown, signals():
        run = _Run(request, account, archive, shown, pages)
        try:
            try:
                return run.result()
            except Signalled as signalled:
                try:
                    shown.end()
                    return end_interrupted(
                        run, request, settings, archive, detach=detach, signalled=signalled
                    )
                except Signalled:
                    leave_now(request, run.capture_id, is_over=run.is_over)
        except CancelledInPrefect as cancelled:  # even while the question of Ctrl-C waits for an answer
            if run.may_go_on:
                raise NotStopped(str(cancelled)) from None
            raise KeyboardInterrupt(str(cancelled)) from None


def end_interrupted(
    run: _Run,
    request: SimpleRequest | FullRequest,
    settings: Settings,
    archive: str,
    *,
    detach: bool,
    signalled: Signalled,
) -> EntrySummary:
    """End the run as the person chooses; it continues until then."""
    going_on = isinstance(request, FullRequest) and bool(run.capture_id) and not run.is_over
    leave = detach
    if going_on and not detach and asks(signalled):
        leave = not stop_wanted(run.capture_id)
    if (entry := run.ended_by_itself()) is not None:
        return entry
    if going_on and not leave:
        say(f"Stopping full capture {run.capture_id} at Cloudflare. Ctrl-C again exits at once.")
    run.end(leave=leave)
    if run.may_go_on:
        raise NotStopped(f"interrupted; {run}")
    raise KeyboardInterrupt(left_behind(request, settings, archive, run, leave=leave))


class _Run:
    """The flow in its own thread."""

    def __init__(
        self,
        request: SimpleRequest | FullRequest,
        account: str,
        archive: str,
        shown: _Shown,
        pages: str,
    ) -> None:
        self._request, self._account, self._archive = request, account, archive
        self._shown, self._pages = shown, pages
        self._listener = _Listener(self._line)
        self._future: Future[EntrySummary] = Future()
        self._watched: Watched | None = None
        self._unwanted = threading.Event()  # interrupted before the flow began
        threading.Thread(target=self._work, name="capture", daemon=True).start()

    def __str__(self) -> str:
        """What became of the capture."""
        return str(self._watched).removeprefix("cancelled; ") if self._watched else ""

    @property
    def run_id(self) -> str:
        """The flow run's id, once it is known."""
        return self._listener.run_id

    @property
    def capture_id(self) -> str:
        """The capture's id, once it was accepted."""
        return self._watched.capture_id if self._watched else ""

    @property
    def is_over(self) -> bool:
        """Whether the capture is known to have ended at Cloudflare."""
        return self._watched is not None and self._watched.is_over

    @property
    def was_stopped(self) -> bool:
        """Whether a stop of the capture was tried."""
        return self._watched is not None and self._watched.stopped is not None

    @property
    def may_go_on(self) -> bool:
        """Whether stopping the capture failed, or it may still appear."""
        stopped = self._watched.stopped if self._watched else None
        return isinstance(stopped, EdgecapError) or (
            isinstance(stopped, Stopped) and stopped.outcome is Stopping.UNSEEN
        )

    def result(self) -> EntrySummary:
        """Wait for the run's end.

        Raises:
            EdgecapError: the flow's error.
            CancelledInPrefect: it was cancelled there.
        """
        return self._future.result()

    def ended_by_itself(self) -> EntrySummary | None:
        """The run's result, if it ended during the question."""
        return self._future.result() if self._future.done() else None

    def end(self, *, leave: bool) -> None:
        """End the run, and wait until its capture is stopped or stopping it has failed."""
        self._unwanted.set()
        told = False
        while not self._future.done() and not self.was_stopped:
            if self._watched and not told:
                told = True
                if leave:
                    self._watched.detach()
                else:
                    self._watched.cancel()
            if told and leave:
                break
            time.sleep(0.05)
        until = time.monotonic() + REPORTED  # the capture matters more than the run's state in Prefect
        while not self._future.done() and time.monotonic() < until:
            time.sleep(0.05)
        if not self._future.done() and not leave:
            self._tell_prefect()

    def _line(self, text: str) -> None:
        """Show a line of the run. The bar is of the capture, and is full when that is over."""
        if self.is_over:
            self._shown.per_cent(100)
        self._shown.line(text)

    def _tell_prefect(self) -> None:
        """Report the run as cancelled; otherwise Prefect would show it as crashed."""
        address = os.environ.get("PREFECT_API_URL", "")  # a temporary server ends with this process
        if address and self.run_id:
            with suppress(SetupError), PrefectApi(address, timeout=REPORTED, retry=False) as prefect:
                prefect.cancel(self.run_id)

    def _work(self) -> None:
        try:
            self._future.set_result(asyncio.run(self._capture()))
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self._future.set_exception(error)

    async def _capture(self) -> EntrySummary:
        from prefect.settings import get_current_settings  # noqa: PLC0415 - after the environment is set

        from flows.capture import capture  # noqa: PLC0415 - the same
        from tasks.runtime.prefect_away import prefect_away  # noqa: PLC0415 - the same
        from tasks.runtime.retry import PREFECT_AWAY  # noqa: PLC0415 - the same

        api_url = get_current_settings().api.url
        if api_url is None:
            protect_temporary_server()
            say("Starting a Prefect server for this capture; that takes about 15 s.")
            say(other_server() or "`edgecap up` runs one that stays: then a capture starts at once.")
        elif not os.environ.get("PREFECT_API_URL"):
            say(f"Prefect server: {api_url} (Prefect's profile)")
        for name in RUN_LOGGERS:
            logging.getLogger(name).addHandler(self._listener)
        showing = asyncio.create_task(self._show())
        try:
            if self._unwanted.is_set():
                raise CancelledInPrefect("interrupted before anything began")
            try:
                state = await capture(self._request, self._account, self._archive, return_state=True)
            except PREFECT_AWAY as error:  # the run's end could not be reported
                raise prefect_away(error, self._watched) from error
            if self._watched and self._watched.wanted.is_set() and not state.is_completed():
                raise CancelledInPrefect(f"cancelled in Prefect; {self}")
            # The flow returns a state, and Prefect returns that state's result: its types do not show that.
            return cast("EntrySummary", await state.aresult())
        finally:
            showing.cancel()

    async def _show(self) -> None:
        """Show the run's progress artifact, as the UI does."""
        from prefect.client.orchestration import get_client  # noqa: PLC0415 - after the environment is set
        from prefect.client.schemas.filters import (  # noqa: PLC0415 - the same
            ArtifactFilter,
            ArtifactFilterFlowRunId,
            ArtifactFilterType,
        )

        from tasks.runtime.cancelling import RUNS  # noqa: PLC0415 - the same

        while self.run_id not in RUNS:  # noqa: ASYNC110 - the first log line of any thread sets it
            await asyncio.sleep(0.05)
        self._watched = RUNS[self.run_id]
        if self._pages:
            say(f"Watch it at {self._pages}/v2/runs/flow-run/{self.run_id}")
        mine = ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(self.run_id)]),
            type=ArtifactFilterType(any_=["progress"]),
        )
        async with get_client() as client:
            while True:
                with suppress(Exception):  # only for display: if the server fails, the run itself ends
                    for artifact in await client.read_artifacts(artifact_filter=mine):
                        self._shown.per_cent(float(str(artifact.data)))
                await asyncio.sleep(LOOK)
