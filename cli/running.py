"""A capture in this process, which Prefect's UI shows too: its progress, and what Ctrl-C leaves behind."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self
from uuid import UUID

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from cli.output import colourful, console, printable, say
from cli.prefect_client import point_at_prefect
from edgecap import identity
from edgecap.archive.journal import Journal, JournalRecord
from edgecap.errors import EdgecapError
from edgecap.redact import redact
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.settings import Settings
from edgecap.stores import open_store

if TYPE_CHECKING:
    from tasks.archive import EntrySummary

LOOK = 1.0  # seconds between two looks at the run's progress
_OURS = {"tasks", "flows"}


class _Listener(logging.Handler):
    """Hears what the flow and its tasks say of themselves, and from whom: that is the run's id."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._on_line = on_line
        self.run_id = ""
        self.cancelled = False  # by somebody, in Prefect

    def emit(self, record: logging.LogRecord) -> None:
        run_id = str(getattr(record, "flow_run_id", "") or "")
        if run_id and not self.run_id:
            self.run_id = run_id
        if Path(record.pathname).parent.name in _OURS:
            self._on_line(printable(redact(record.getMessage())))


class _Shown:
    """The run's progress on stderr: a bar on a terminal, else a line whenever there is news."""

    def __init__(self, title: str) -> None:
        self._bar: Progress | None = None
        if colourful(sys.stderr):
            self._bar = Progress(
                TextColumn(
                    "{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
                ),
                BarColumn(bar_width=20),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeElapsedColumn(),
                console=console(sys.stderr),
                transient=True,
                expand=True,
            )
            self._task = self._bar.add_task(title, total=100)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
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
    request: SimpleRequest | FullRequest, settings: Settings, *, account: str, archive: str
) -> EntrySummary:
    """Run the flow `capture` here, against the Prefect server there is, and wait for its end.

    Raises:
        EdgecapError: what the flow ended with.
        KeyboardInterrupt: Ctrl-C, or somebody cancelled it in Prefect; its text says what goes on at
            Cloudflare.
    """
    pages = point_at_prefect(settings.home)
    with _Shown(str(request)) as shown:
        listener = _Listener(shown.line)
        try:
            return asyncio.run(_run(request, account, archive, listener, shown, pages))
        except KeyboardInterrupt:
            if listener.cancelled:
                _mark_cancelled(listener.run_id)
                words = "cancelled in Prefect; if Cloudflare captures for it, the capture is stopped within "
                words += "moments, and what it has is kept"
            else:
                words = _left_behind(request, settings, archive, listener.run_id)
            raise KeyboardInterrupt(words) from None


async def _run(
    request: SimpleRequest | FullRequest,
    account: str,
    archive: str,
    listener: _Listener,
    shown: _Shown,
    pages: str,
) -> EntrySummary:
    from prefect.settings import get_current_settings  # noqa: PLC0415 - after the environment is set

    from flows.capture import capture  # noqa: PLC0415 - the same

    if get_current_settings().api.url is None:
        say("No Prefect server runs, so one is started for this capture alone; `edgecap up` keeps one.")
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addHandler(listener)
    watching = asyncio.create_task(_watch(listener, shown, pages))
    try:
        state = await capture(request, account, archive, return_state=True)
        return await state.aresult()
    finally:
        watching.cancel()


async def _watch(listener: _Listener, shown: _Shown, pages: str) -> None:
    """Show the run's own progress artifact, which is what the UI shows; end the run if it is cancelled there.

    Prefect leaves that to a worker, and there is none for this process. A signal ends it as Ctrl-C does.
    """
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - after the environment is set
    from prefect.client.schemas.filters import (  # noqa: PLC0415 - the same
        ArtifactFilter,
        ArtifactFilterFlowRunId,
        ArtifactFilterType,
    )

    while not listener.run_id:  # noqa: ASYNC110 - it is set in whatever thread logs first
        await asyncio.sleep(0.1)
    if pages:
        say(f"Watch it at {pages}/v2/runs/flow-run/{listener.run_id}")
    mine = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(listener.run_id)]),
        type=ArtifactFilterType(any_=["progress"]),
    )
    async with get_client() as client:
        while True:
            with suppress(Exception):  # for the eye only: a server in trouble ends the run itself
                for artifact in await client.read_artifacts(artifact_filter=mine):
                    shown.per_cent(float(str(artifact.data)))
                state = (await client.read_flow_run(UUID(listener.run_id))).state
                if state and (state.is_cancelling() or state.is_cancelled()):
                    listener.cancelled = True
                    signal.raise_signal(signal.SIGINT)
                    return
            await asyncio.sleep(LOOK)


def _mark_cancelled(run_id: str) -> None:
    """Say how the run ended: to Prefect, the signal that ended it looks like a crash."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - after the environment is set
    from prefect.states import Cancelled  # noqa: PLC0415 - the same

    with suppress(Exception), get_client(sync_client=True) as client:  # it is over, whatever it is called
        client.set_flow_run_state(UUID(run_id), Cancelled(message="cancelled by a person"), force=True)


def _left_behind(request: SimpleRequest | FullRequest, settings: Settings, archive: str, run_id: str) -> str:
    record: JournalRecord | None = None
    try:
        if run_id:
            record = Journal(open_store(settings.archive(archive))).follow(identity.intent_id(run_id))
    except EdgecapError as error:
        return f"interrupted, and the journal cannot say what was asked of Cloudflare: {error}"
    if record is None:
        return "interrupted before anything was asked of Cloudflare; nothing goes on there"
    if not record.capture_id:
        return (
            f"interrupted while intent {record.intent.intent_id} waited to be accepted; if the dashboard "
            "shows its capture, it goes on there, else nothing does"
        )
    if isinstance(request, FullRequest):
        place = open_store(settings.bucket(request.bucket)).uri
        return (
            f"interrupted; full capture {record.capture_id} goes on at Cloudflare until its "
            f"{request.time_limit} s are over, and its files will be in {place}; the dashboard can stop it"
        )
    ends = record.intent.body.get("offset_time", "")
    return (
        f"interrupted; simple capture {record.capture_id} is done at Cloudflare, and `edgecap capture simple "
        f"--seconds {request.time_limit} --at {ends}` asks for its window again for 24 hours"
    )
