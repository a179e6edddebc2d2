"""Prefect's command line for a server on SQLite, with two mends. tests/canary says when each may go.

**Retries of events** (`Subscription.retry`; as in Prefect 3.0.0, and still in 3.9.1). While the database is
locked, no event can be processed. Prefect tries each four times within 60 ms and then drops it, so the
automation that takes up a dead run may never hear of its death. Here an event is retried for some seconds.

**Garbage collection** (SQLite through SQLAlchemy and aiosqlite; Python 3.11 to 3.14). A statement that failed
leaves its cursor to Python's collector. Freeing the cursor takes the connection, which may be waiting in
another thread, for up to a minute, for the database to be unlocked. In the thread of the event loop this is a
deadlock: the loop stands still, and the holder of the lock never finishes. A burst of thirty runs stopped the
server for a minute at a time. Here only a thread of its own collects, and that one may wait.
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
    """Collect as often as Python would, by its own thresholds, but in this thread alone."""
    while True:
        time.sleep(_EVERY)
        counts, thresholds = gc.get_count(), gc.get_threshold()
        due = [age for age, (count, most) in enumerate(zip(counts, thresholds, strict=True)) if count > most]
        if due:
            gc.collect(max(due))


if __name__ == "__main__":
    main()
