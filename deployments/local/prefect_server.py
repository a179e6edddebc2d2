"""Prefect's command line for a server on SQLite: patient with its database, and never deadlocked by it.

An event that cannot be looked at since the database is locked is tried four times within 60 ms and then
dropped; so are all that follow it, and the automation that takes up a dead run never hears of its death. Here
it is tried for some seconds.

A statement that failed leaves its cursor to Python's collector. To free it SQLite needs the connection it
came from, and that may be waiting in another thread, for up to a minute, for the database to be unlocked. In
the thread of the event loop this is a deadlock: the loop stands still, and what holds the lock can never
finish. A burst of thirty runs stopped the server for a minute at a time. A thread of its own may wait.
"""

from __future__ import annotations

import asyncio
import gc
import runpy
import threading
import time

from prefect.server.utilities.messaging.memory import MemoryMessage, Subscription

_EVERY = 0.25  # seconds
_TRIES = 10
_FIRST, _MOST = 0.05, 2.0  # seconds before an event is looked at again, doubling: 11 seconds in all
_retry = Subscription.retry


def main() -> None:
    """Run the `prefect` command with the arguments of this program."""
    Subscription.retry = retry_later  # type: ignore[method-assign]
    gc.disable()
    threading.Thread(target=_collect, name="collector", daemon=True).start()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


async def retry_later(self: Subscription, message: MemoryMessage) -> None:
    """Put a message back, after a pause that grows with each try."""
    self.max_retries = _TRIES
    await asyncio.sleep(min(_MOST, _FIRST * 2**message.retry_count))
    await _retry(self, message)


def _collect() -> None:
    """Collect as often as Python itself would, by its own thresholds, but never in another thread."""
    while True:
        time.sleep(_EVERY)
        counts, thresholds = gc.get_count(), gc.get_threshold()
        due = [age for age, (count, most) in enumerate(zip(counts, thresholds, strict=True)) if count > most]
        if due:
            gc.collect(max(due))


if __name__ == "__main__":
    main()
