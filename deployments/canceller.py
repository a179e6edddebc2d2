"""Stopping the captures of cancelled runs, beside the workers: a small program that does nothing else.

A run that sleeps has no process that could stop its capture, another's may be killed before it does, and a
new process takes long to start on a busy machine. This one is always there. Every other second it asks
Prefect which runs are cancelled, with a short time-out; neither events nor the runs themselves are relied on.
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

from deployments.prefect_api import PrefectApi
from edgecap.errors import EdgecapError, SetupError
from edgecap.stopping import Stopped, Stopping
from tasks.cancelled import Cancelled, stop_once

LOOK = 1.5  # seconds between two looks
ANSWER = 5.0  # seconds for one answer of Prefect's
AT_FIRST = timedelta(hours=24)  # a run that was cancelled so long ago is of interest at the first look
RECENT = timedelta(minutes=10)  # and so long ago at the others
UNSEEN = 300.0  # seconds in which a POST without an answer must show in Cloudflare's list
OFTEN = 20.0  # seconds after the cancel in which it is looked for often
MOST = 24 * 3600.0  # seconds; no capture lasts longer
SOON, LATER = 1.0, 10.0  # seconds between two attempts in that time, and after it
_log = logging.getLogger("edgecap.canceller")


@dataclass
class _Wanted:
    """A run that is cancelled, and since when this program knows it."""

    cancelled: Cancelled
    since: float


class Canceller:
    """Stops the captures of the runs that `look` finds.

    Args:
        look: the runs that were cancelled since a time, asked of Prefect.
        stop: tries once to stop the capture of one.
        sleep: waits so many seconds.
        clock: seconds, from any start.
    """

    def __init__(
        self,
        look: Callable[[datetime], Awaitable[list[Cancelled]]],
        *,
        stop: Callable[[Cancelled], Awaitable[Stopped]] = stop_once,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._stop = stop
        self._sleep = sleep
        self._clock = clock
        self._back = AT_FIRST
        self._wanted: dict[str, _Wanted] = {}
        self._working: dict[str, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<Canceller [{len(self._wanted)} cancelled, {len(self._working)} to stop]>"

    async def forever(self) -> None:
        """Look again and again."""
        while True:
            with suppress(SetupError):  # Prefect is away or busy; the next look tells
                await self.once()
            await self._sleep(LOOK)

    async def once(self) -> None:
        """One look; captures are stopped in tasks of their own, so that none waits for another.

        Raises:
            SetupError: Prefect does not answer.
        """
        found = {each.run_id: each for each in await self._look(datetime.now(UTC) - self._back)}
        self._back = RECENT
        for run_id in self._wanted.keys() - found.keys() - self._working.keys():
            del self._wanted[run_id]
        for run_id, cancelled in found.items():
            if run_id in self._wanted:
                self._wanted[run_id].cancelled = cancelled
                continue
            self._wanted[run_id] = _Wanted(cancelled, self._clock())
            task = asyncio.create_task(self._insist(run_id), name=run_id)
            self._working[run_id] = task
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._working.pop(task.get_name(), None)

    async def settled(self) -> None:
        """Wait until nothing more is tried."""
        await asyncio.gather(*self._working.values())

    async def _insist(self, run_id: str) -> None:
        """Try until the capture is stopped or over, or until none can come any more."""
        wanted = self._wanted[run_id]
        said = ""
        while True:
            age = self._clock() - wanted.since
            try:
                stopped = await self._stop(wanted.cancelled)
            except EdgecapError as error:
                if age > MOST:
                    _log.error("run %s is cancelled; its capture is given up here: %s", run_id, error)
                    return
                if str(error) != said:
                    _log.warning("run %s is cancelled, and its capture may go on: %s", run_id, error)
                said = str(error)
            except Exception:  # noqa: BLE001 - a fault of ours in one must not leave the others running
                _log.exception("run %s is cancelled, and its capture may go on", run_id)
            else:
                said = ""
                over = wanted.cancelled.is_over
                done = stopped.outcome in (Stopping.ASKED, Stopping.OVER)
                if done or (over and (stopped.outcome is Stopping.NOTHING or age > UNSEEN)):
                    _log.info("run %s is cancelled: %s", run_id, stopped)
                    return
            await self._sleep(SOON if age < OFTEN else LATER)


def ask(prefect: PrefectApi) -> Callable[[datetime], Awaitable[list[Cancelled]]]:
    """Ask Prefect which runs of the flow `capture` are cancelled."""

    async def look(since: datetime) -> list[Cancelled]:
        runs = await asyncio.to_thread(prefect.cancelled, "capture", since=since)
        return [cancelled for run in runs if (cancelled := Cancelled.of(run))]

    return look


def main() -> None:
    """Run until SIGTERM, against the Prefect server that `PREFECT_API_URL` names."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("httpx", "botocore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with PrefectApi(os.environ["PREFECT_API_URL"], timeout=ANSWER, insist=False) as prefect:
        asyncio.run(Canceller(ask(prefect)).forever())


if __name__ == "__main__":
    main()
