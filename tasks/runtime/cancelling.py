"""Cancelling a run: its process notices within seconds, and stops the run's capture first of all.

Prefect tells a worker of a cancel by an event, which may be lost, and never tells a terminal or the warm
process. So each run's own process watches it, too: a thread with its own event loop asks Prefect every other
second, or as often as Prefect answers, and stops the capture itself.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from edgecap.archive.journal import Journal
from edgecap.captures.stopping import TIMEOUT, Stopped, Stopping, stop_capture, stop_intent, stop_within
from edgecap.cloudflare.client import Client
from edgecap.errors import EdgecapError, NotStopped
from edgecap.files.interruption import Interruption, interruptible
from edgecap.settings import load_settings
from edgecap.stores import open_store
from tasks.runtime.compat import TerminationSignal, suspend_here
from tasks.runtime.restart_policy import is_suspended, is_to_end
from tasks.runtime.run_history import RunHistory, history_of

LOOK = 2.0  # seconds from one look at a run's state to the next; a slow look is followed by the next at once
LEAST = 0.1  # seconds between two looks, even after a slow one
STOP_WITHIN = 12.0  # seconds in which the run's own process stops its capture
UNSEEN = 4.0  # seconds in which a POST that was under way must show in Cloudflare's list
SHORTLY = 0.2  # seconds between two looks at whether the capture is known by now
END_WITHIN = 8.0  # seconds for the run's tasks to end, after its capture was stopped
GOES_ON = "`edgecap reconcile` tries again, and so does `edgecap up` by itself"

_T = TypeVar("_T")


class RunCancelled(Exception):
    """Somebody cancelled the run. Its text says what became of the capture."""


class RunLeft(Exception):
    """A person ended the run's process, and wants its capture to go on."""


@dataclass
class Watched:
    """A run of this process and its capture.

    Attributes:
        run_id: the flow run's id.
        intent_id: the intent's; empty if the run starts no full capture.
        account: name of the account in the settings.
        archive: name of the archive in the settings.
        capture_id: the capture, once it is accepted.
        is_over: whether the capture is known to have ended.
        stopped: how stopping the capture ended, or why it may go on.
        detached: whether the run ends here and its capture goes on.
    """

    run_id: str
    intent_id: str
    account: str = ""
    archive: str = ""
    capture_id: str = ""
    is_over: bool = False
    stopped: Stopped | EdgecapError | None = None
    detached: bool = False
    wanted: threading.Event = field(default_factory=threading.Event, repr=False)
    ended: threading.Event = field(default_factory=threading.Event, repr=False)
    closing: threading.Event = field(default_factory=threading.Event, repr=False)
    tell: Callable[[], object] = field(default=lambda: None, repr=False)
    poke: Callable[[], object] = field(default=lambda: None, repr=False)

    def cancel(self) -> None:
        """End the run and stop its capture. From any thread."""
        self.wanted.set()
        self.tell()
        self.poke()

    def detach(self) -> None:
        """End the run here, and let its capture go on. From any thread."""
        self.detached = True
        self.cancel()

    def is_known(self) -> bool:
        """Whether the capture's id is known here."""
        return bool(self.capture_id)

    async def stop(self, *, within: float) -> Stopped:
        """Stop the run's capture within `within` seconds.

        Raises:
            NotStopped: the capture may go on.
            EdgecapError: the settings have no such account or archive any more.
        """
        if not self.intent_id:
            return Stopped(Stopping.NOTHING)
        if self.is_over:
            return Stopped(Stopping.OVER, self.capture_id)
        settings = load_settings()
        async with Client(settings.account(self.account), timeout=TIMEOUT, attempts=1) as client:

            async def attempt() -> Stopped:
                if not self.is_known():
                    journal = Journal(open_store(settings.archive(self.archive)))
                    looking = asyncio.create_task(stop_intent(client, journal, self.intent_id))
                    try:
                        while not self.is_known():  # the answer to its POST may be on the way
                            if (await asyncio.wait({looking}, timeout=SHORTLY))[0]:
                                return await looking
                    finally:
                        looking.cancel()
                return await stop_capture(
                    client, self.capture_id
                )  # without the journal, whose store may hang

            return await stop_within(within, attempt, settled=self.ended.is_set, unseen_for=UNSEEN)

    def __str__(self) -> str:
        """What became of the capture, in one line."""
        match self.stopped:
            case None:
                return "cancelled"
            case Stopped():
                return f"cancelled; {self.stopped}"
            case error:
                return f"cancelled, and a full capture may go on at Cloudflare: {error}; {GOES_ON}"


RUNS: dict[str, Watched] = {}
"""The runs that this process works on, by their ids."""


def note_capture(run_id: str, capture_id: str) -> None:
    """Remember which capture a run of this process has, so that a cancel need not read the journal."""
    if watched := RUNS.get(run_id):
        watched.capture_id = capture_id


async def unless_cancelled(watched: Watched, work: Coroutine[Any, Any, _T]) -> _T:
    """Run `work`, the whole of the running flow, until it ends or the run is cancelled.

    `work` begins after the first look, so a run that was cancelled while it had no process does nothing more.

    Raises:
        RunCancelled: the run was cancelled. The capture is stopped, or the text says why it may go on.
        RunLeft: a person ended the run here, and its capture goes on.
    """
    try:
        history = await history_of(watched.run_id)
    except BaseException:
        work.close()
        raise
    loop = asyncio.get_running_loop()
    wanted, looked = asyncio.Event(), asyncio.Event()
    watched.tell = lambda: loop.call_soon_threadsafe(wanted.set)

    async def begin() -> _T:
        await looked.wait()
        return await work

    interruption = Interruption()
    with interruptible(interruption):
        task = asyncio.create_task(begin())
    told = asyncio.create_task(wanted.wait())
    RUNS[watched.run_id] = watched
    watching = asyncio.run_coroutine_threadsafe(
        watch(watched, history, lambda: loop.call_soon_threadsafe(looked.set)), _watching_loop()
    )
    try:
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await _end(watched, task, interruption)
            if watched.detached:
                raise RunLeft
            await asyncio.wrap_future(watching)
            raise RunCancelled(str(watched))
        return await task
    except (asyncio.CancelledError, TerminationSignal):
        # This process is to end. If a worker cancels the run this way, half a minute is left.
        await _end(watched, task, interruption)
        await asyncio.wait({asyncio.wrap_future(watching)}, timeout=STOP_WITHIN + LOOK)
        raise
    finally:
        RUNS.pop(watched.run_id, None)
        if inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
            work.close()
        told.cancel()
        watching.cancel()


async def _end(watched: Watched, task: asyncio.Task[_T], interruption: Interruption) -> None:
    """End the run's tasks. Their threads end by themselves."""
    watched.closing.set()
    watched.poke()
    interruption.ask()
    task.cancel()
    await asyncio.wait({task}, timeout=END_WITHIN)
    watched.ended.set()


async def watch(watched: Watched, history: RunHistory, looked: Callable[[], object]) -> None:
    """Look until the run is to end, then stop its capture.

    Args:
        watched: the run.
        history: its states, as Prefect tells them.
        looked: called after each look that lets the run go on.
    """
    poked = asyncio.Event()
    loop = asyncio.get_running_loop()
    watched.poke = lambda: loop.call_soon_threadsafe(poked.set)
    try:
        async with history:
            while not watched.wanted.is_set():
                closing, began = watched.closing.is_set(), loop.time()
                states = await history.states()
                if closing and not is_to_end(states):
                    states = await history.states()
                if is_to_end(states):
                    watched.cancel()
                elif closing:
                    return
                else:
                    if is_suspended(states):
                        suspend_here(UUID(watched.run_id))
                    looked()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(poked.wait(), max(LEAST, began + LOOK - loop.time()))
    except Exception:
        looked()  # a fault of ours in here must not keep the run waiting
        raise
    if watched.detached:
        return
    try:
        watched.stopped = await watched.stop(within=STOP_WITHIN)
    except EdgecapError as error:
        watched.stopped = error
    except Exception as error:  # noqa: BLE001 - a fault of ours must be told as a capture that may go on
        watched.stopped = NotStopped(f"a bug in edgecap: {type(error).__name__}: {error}")


@cache
def _watching_loop() -> asyncio.AbstractEventLoop:
    """An event loop in its own thread, for watching alone: the flow's own loop may be busy."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="edgecap-cancelling", daemon=True).start()
    return loop
