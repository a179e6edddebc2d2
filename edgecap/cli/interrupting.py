"""Ctrl-C during a capture: the question, and the message about the capture that was stopped or goes on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol

from edgecap.archive.journal import Journal
from edgecap.captures import identity
from edgecap.cli.exits import INTERRUPTED, complain
from edgecap.errors import EdgecapError
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.settings import Settings
from edgecap.stores import open_store

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MAY_BE_LOST = "packets that Cloudflare had not saved by then may be lost"


class InterruptedRun(Protocol):
    """A run in this process, as far as its end matters. As text: the result of stopping its capture."""

    @property
    def run_id(self) -> str:
        """Its id in Prefect; empty before it has one."""
        ...

    @property
    def capture_id(self) -> str:
        """The capture that Cloudflare accepted for it; empty before that."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the capture has ended at Cloudflare."""
        ...

    @property
    def was_stopped(self) -> bool:
        """Whether a stop was requested at Cloudflare."""
        ...


class Signalled(BaseException):
    """A signal arrived. Not an `Exception` or a KeyboardInterrupt, which libraries handle themselves."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def signals() -> Iterator[None]:
    """Make SIGINT, SIGTERM and SIGHUP raise Signalled inside the block. An ignored SIGHUP stays ignored."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if number != signal.SIGHUP or handler is not signal.SIG_IGN:  # `nohup` ignores it
            signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature is Python's
    raise Signalled(number)


def asks(signalled: Signalled) -> bool:
    """Whether there is a person to ask: Ctrl-C at a terminal."""
    return signalled.number == signal.SIGINT and sys.stdin.isatty() and sys.stderr.isatty()


def stop_wanted(capture_id: str) -> bool:
    """Ask whether to stop a full capture; the end of the input means yes."""
    sys.stderr.write(
        f"\nStop full capture {capture_id} at Cloudflare? Unsaved packets may be lost; if it is not "
        "stopped, it goes on without this command. [Y/n] "
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() not in ("n", "no")


def leave_now(request: SimpleRequest | FullRequest, capture_id: str, *, is_over: bool) -> NoReturn:
    """Exit this process at once, and say what may go on."""
    words = "interrupted twice, and left at once"
    if isinstance(request, FullRequest) and not is_over:
        if capture_id:
            ends = datetime.now(UTC) + timedelta(seconds=request.time_limit)
            words += (
                f"; full capture {capture_id} may go on at Cloudflare until {ends:%Y-%m-%d %H:%M}Z at the "
            )
            words += f"latest, and `edgecap cancel {capture_id}` stops it"
        else:
            words += (
                "; if Cloudflare had accepted the capture, `edgecap lanes` shows it, and `edgecap cancel ID` "
            )
            words += "stops it"
    complain(words)
    _end_children()
    os._exit(INTERRUPTED)


def _end_children() -> None:
    """End Prefect's temporary server, which a normal exit would end."""
    with suppress(OSError, ValueError):
        for task in Path("/proc/self/task").iterdir():
            for child in (task / "children").read_text().split():
                os.kill(int(child), signal.SIGTERM)


def left_behind(
    request: SimpleRequest | FullRequest,
    settings: Settings,
    archive: str,
    run: InterruptedRun,
    *,
    leave: bool,
) -> str:
    """What an interrupted run leaves behind, and how to go on or to stop it."""
    if isinstance(request, SimpleRequest):
        return _simple(request, settings, archive, run)
    if run.is_over:
        place = open_store(settings.bucket(request.bucket)).uri
        return (
            f"interrupted; full capture {run.capture_id} has ended at Cloudflare; its files are in {place}, "
            "and `edgecap reconcile` archives them"
        )
    if leave and run.capture_id:
        place = open_store(settings.bucket(request.bucket)).uri
        return (
            f"interrupted; full capture {run.capture_id} goes on at Cloudflare until its "
            f"{request.time_limit} s are over; its files will be in {place}. `edgecap reconcile` archives "
            f"them, `edgecap cancel {run.capture_id}` stops it"
        )
    if run.capture_id and run.was_stopped:
        return f"interrupted; {run}; {MAY_BE_LOST}, and `edgecap reconcile` fetches the rest"
    if leave:
        return (
            "interrupted before Cloudflare answered; `edgecap lanes` shows whether a full capture "
            "runs, and `edgecap cancel ID` stops it"
        )
    return f"interrupted; {run or 'nothing was sent to Cloudflare'}"


def _simple(request: SimpleRequest, settings: Settings, archive: str, run: InterruptedRun) -> str:
    try:
        found = Journal(open_store(settings.archive(archive))).follow(
            identity.intent_id(run.run_id or "none")
        )
    except EdgecapError as error:
        return f"interrupted, and the journal cannot tell what was sent to Cloudflare: {error}"
    if found is None:
        return "interrupted before anything was sent to Cloudflare; nothing goes on there"
    ends = found.intent.body.get("offset_time", "")
    again = f"`edgecap capture simple --seconds {request.time_limit} --at {ends}` requests its window again"
    if not found.capture_id:
        return (
            f"interrupted while the request waited; nothing goes on at Cloudflare, and {again} for 24 hours"
        )
    return (
        f"interrupted; simple capture {found.capture_id} is done at Cloudflare; `edgecap reconcile` archives "
        f"it, and {again} for 24 hours"
    )
