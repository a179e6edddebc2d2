"""Stopping the captures of cancelled runs: a small program beside the workers. It also names waiting runs.

A run that sleeps has no process to stop its capture, the process of another may be killed first, and a new
process starts slowly on a busy machine. This program always runs. Every other second, or as often as Prefect
answers, it asks which runs are cancelled. It relies neither on events nor on the runs themselves.

Prefect's schedules make runs with names such as `tungsten-poodle`. Twice a minute this program gives them the
names that they will have, so that the pages of Prefect's UI say what waits.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from edgecap.captures.stopping import Stopped, Stopping
from edgecap.errors import (
    ConfigError,
    Damaged,
    EdgecapError,
    ObjectExists,
    RequestRefused,
    SetupError,
    UnknownToApi,
)
from tasks.runtime.cancelled import Cancelled, stop_once
from tasks.runtime.rest import PrefectApi
from tasks.runtime.run_names import name_waiting

LOOK = 1.5  # seconds from one look to the next; a slow look is followed by the next at once
LEAST = 0.1  # seconds between two looks, even after a slow one
# Seconds for one answer of Prefect: a busy server is slow, and one that is away accepts no connection.
ANSWER, CONNECTION = 10.0, 4.0
AT_FIRST = timedelta(hours=24)  # how far the first look goes back
NAMES = 30.0  # seconds between two looks for runs without a name of ours
RECENT = timedelta(minutes=10)  # how far the others do
UNSEEN = 300.0  # seconds in which a POST without an answer must show in Cloudflare's list
OFTEN = 20.0  # seconds after the cancel in which attempts are frequent
MOST = 24 * 3600.0  # seconds; no capture lasts longer
SOON, LATER = 1.0, 10.0  # seconds between two attempts in that time, and later
LASTING = (ConfigError, Damaged, ObjectExists, RequestRefused)
"""Errors that do not pass. A token may work again, and a folder may be mounted again."""
_log = logging.getLogger("edgecap.canceller")


@dataclass
class _Wanted:
    """A cancelled run, and since when this program knows of it."""

    cancelled: Cancelled
    since: float


class Canceller:
    """Stops the captures of the runs that `look` finds.

    Args:
        look: the runs that were cancelled since a time, asked of Prefect.
        still: whether a run, by its id, is still cancelled or being cancelled; False also if it is deleted.
        tell: writes a line, with its logging level, where the run's user sees it.
        stop: tries once to stop a run's capture.
        sleep: waits for the given number of seconds.
        clock: seconds, from any start.
    """

    def __init__(
        self,
        look: Callable[[datetime], Awaitable[list[Cancelled]]],
        *,
        still: Callable[[str], Awaitable[bool]],
        tell: Callable[[str, str, int], Awaitable[object]],
        stop: Callable[[Cancelled], Awaitable[Stopped]] = stop_once,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._still = still
        self._tell = tell
        self._stop = stop
        self._sleep = sleep
        self._clock = clock
        self._back = AT_FIRST
        self._found: frozenset[str] = frozenset()
        self._wanted: dict[str, _Wanted] = {}
        self._working: dict[str, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<Canceller [{len(self._wanted)} cancelled, {len(self._working)} to stop]>"

    async def forever(self) -> None:
        """Look again and again."""
        while True:
            began = self._clock()
            with suppress(SetupError):  # Prefect is away or busy; the next look tells
                await self.once()
            await self._sleep(max(LEAST, began + LOOK - self._clock()))

    async def once(self) -> None:
        """Look once. Each capture is stopped in a task of its own, so that none waits for another.

        Raises:
            SetupError: Prefect does not answer.
        """
        found = {each.run_id: each for each in await self._look(datetime.now(UTC) - self._back)}
        self._back = RECENT
        self._found = frozenset(found)
        for run_id in self._wanted.keys() - found.keys() - self._working.keys():
            del self._wanted[run_id]
        for run_id, cancelled in found.items():
            if run_id in self._wanted:
                self._wanted[run_id].cancelled = cancelled
                continue
            self._wanted[run_id] = _Wanted(cancelled, self._clock())
            task = asyncio.create_task(self._keep_trying(run_id), name=run_id)
            self._working[run_id] = task
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._working.pop(task.get_name(), None)

    async def wait_idle(self) -> None:
        """Wait until no attempt is under way or due."""
        await asyncio.gather(*self._working.values())

    async def _keep_trying(self, run_id: str) -> None:
        """Try until the capture is stopped or over, none can start any more, or the error does not pass."""
        wanted = self._wanted[run_id]
        said = ""
        while True:
            age = self._clock() - wanted.since
            try:
                stopped = await self._stop(wanted.cancelled)
            except Exception as error:  # noqa: BLE001 - a bug must not leave other captures running
                is_ours = not isinstance(error, EdgecapError)
                what = f"{type(error).__name__}: {error}" if is_ours else str(error)
                if age > MOST or _lasts(error, age):
                    await self._give_up(run_id, what)
                    return
                if what != said:
                    line = "run %s is cancelled, and its capture may go on: %s"
                    _log.warning(line, run_id, what, exc_info=is_ours)
                said = what
            else:
                said = ""
                over = wanted.cancelled.is_over
                done = stopped.outcome in (Stopping.ASKED, Stopping.OVER)
                if done or (over and (stopped.outcome is Stopping.NOTHING or age > UNSEEN)):
                    _log.info("run %s is cancelled: %s", run_id, stopped)
                    if stopped.outcome is Stopping.ASKED:
                        with suppress(SetupError):  # the log of this program has it
                            await self._tell(run_id, f"cancelled; {stopped}", logging.INFO)
                    return
            await self._sleep(SOON if age < OFTEN else LATER)
            if not await self._is_wanted(run_id):
                del self._wanted[run_id]  # if it is cancelled again, it counts as new
                _log.info("run %s is not cancelled any more, or is gone: its capture is left alone", run_id)
                return

    async def _is_wanted(self, run_id: str) -> bool:
        """Whether the run's capture is still to be stopped: a person may have started the run anew."""
        if run_id in self._found:
            return True
        try:  # looks only show recent cancels
            return await self._still(run_id)
        except SetupError:  # Prefect is away
            return True

    async def _give_up(self, run_id: str, why: str) -> None:
        line = f"run {run_id} is cancelled; stopping its capture, which may go on, is given up here: {why}"
        _log.error("%s", line)
        with suppress(SetupError):  # the log of this program has it
            await self._tell(run_id, line, logging.ERROR)


def _lasts(error: Exception, age: float) -> bool:
    """Whether an error does not pass by waiting, `age` seconds after the cancel."""
    # Not every server of Cloudflare may know a capture that was just accepted.
    return isinstance(error, LASTING) or (isinstance(error, UnknownToApi) and age > UNSEEN)


def patient_api(api_url: str) -> PrefectApi:
    """Prefect's API without retries: the next look is near."""
    return PrefectApi(api_url, timeout=httpx.Timeout(ANSWER, connect=CONNECTION), retry=False)


def ask(prefect: PrefectApi) -> Callable[[datetime], Awaitable[list[Cancelled]]]:
    """Ask Prefect which runs of the flow `capture` are cancelled."""

    async def look(since: datetime) -> list[Cancelled]:
        # Side by side: a busy server takes its time for each.
        going, over = await asyncio.gather(
            asyncio.to_thread(prefect.cancelling, "capture"),
            asyncio.to_thread(prefect.cancelled, "capture", since=since),
        )
        return [cancelled for run in (*going, *over) if (cancelled := Cancelled.of(run))]

    return look


def ask_whether(prefect: PrefectApi) -> Callable[[str], Awaitable[bool]]:
    """Ask Prefect whether a run is cancelled, or being cancelled."""

    async def still(run_id: str) -> bool:
        run = await asyncio.to_thread(prefect.find_run, run_id)
        return run is not None and (run.get("state") or {}).get("type") in ("CANCELLED", "CANCELLING")

    return still


def tell_in_its_log(prefect: PrefectApi) -> Callable[[str, str, int], Awaitable[None]]:
    """Leave a line in a run's log, which Prefect's UI shows."""

    async def tell(run_id: str, line: str, level: int) -> None:
        await asyncio.to_thread(prefect.log, run_id, line, level)

    return tell


def main() -> None:
    """Run until SIGTERM, against the Prefect server that `PREFECT_API_URL` names."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("httpx", "botocore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with patient_api(os.environ["PREFECT_API_URL"]) as prefect:
        canceller = Canceller(ask(prefect), still=ask_whether(prefect), tell=tell_in_its_log(prefect))
        asyncio.run(_forever(canceller, prefect))


async def _forever(canceller: Canceller, prefect: PrefectApi) -> None:
    naming = asyncio.create_task(_keep_naming(prefect))
    try:
        await canceller.forever()
    finally:
        naming.cancel()


async def _keep_naming(prefect: PrefectApi) -> None:
    """Name the runs that wait, again and again. Names are for people: an error is only logged."""
    while True:
        try:
            await asyncio.to_thread(name_waiting, prefect)
        except SetupError as error:
            _log.info("runs that wait are not named: %s", error)
        except Exception:  # noqa: BLE001 - a fault in naming must not end the canceller
            _log.exception("runs that wait are not named")
        await asyncio.sleep(NAMES)


if __name__ == "__main__":
    main()
