"""Prefect's command line for a server on SQLite, with three mends. tests/canary says when each may go.

**Retries of events** (`Subscription.retry`; as in Prefect 3.0.0, and still in 3.9.1). While the database is
locked, no event can be processed. Prefect tries each four times within 60 ms and then drops it, so the
automation that takes up a dead run may never hear of its death. Here an event is retried for some seconds.

**Transactions** (`AioSqliteConfiguration.begin_transaction`; as in Prefect 3.0.0, and still in 3.9.1).
Prefect begins most of them DEFERRED: they read first, and write later. If another connection has written in
between, SQLite refuses the write at once, whatever the busy timeout is. The client then gets a 503, and waits
for two seconds. That happened to almost every run: the events of its first state are written just then. Here
each transaction begins IMMEDIATE: it waits for its turn to write, and then reads.

**Garbage collection** (SQLite through SQLAlchemy and aiosqlite; Python 3.11 to 3.14). A statement that failed
leaves its cursor to Python's collector. Freeing the cursor takes the connection, which may be waiting in
another thread, for up to a minute, for the database to be unlocked. In the thread of the event loop this is a
deadlock: the loop stands still, and the holder of the lock never finishes. A burst of thirty runs stopped the
server for a minute at a time. Here only a thread of its own collects, and that one may wait. It does not look
at the modules of the server again and again, which took a twelfth of the server's processor time.
"""

from __future__ import annotations

import asyncio
import gc
import runpy
import threading
import time
from contextlib import AbstractAsyncContextManager

from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.utilities.messaging.memory import MemoryMessage, Subscription
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

_STARTS = 20.0  # seconds; what the server has by then, it keeps
_EVERY = 0.25  # seconds between two looks at the collector's thresholds
_TRIES = 10
_FIRST, _MOST = 0.05, 2.0  # seconds before an event is looked at again, doubling: 11 seconds in all
_retry = Subscription.retry
_begin = AioSqliteConfiguration.begin_transaction


def main() -> None:
    """Run the `prefect` command with the arguments of this program."""
    Subscription.retry = retry_later  # type: ignore[method-assign]
    AioSqliteConfiguration.begin_transaction = begin_to_write  # type: ignore[method-assign,assignment]
    gc.disable()
    threading.Thread(target=_collect, name="collector", daemon=True).start()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


async def retry_later(self: Subscription, message: MemoryMessage) -> None:
    """Put a message back, after a pause that grows with each try."""
    self.max_retries = _TRIES
    await asyncio.sleep(min(_MOST, _FIRST * 2**message.retry_count))
    await _retry(self, message)


def begin_to_write(
    self: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = False
) -> AbstractAsyncContextManager[AsyncSessionTransaction]:
    """Begin a transaction that waits for its turn to write before it reads."""
    del with_for_update
    return _begin(self, session, with_for_update=True)


def _collect() -> None:
    """Collect as often as Python would, by its own thresholds, but in this thread alone."""
    settles = time.monotonic() + _STARTS
    has_settled = False
    while True:
        time.sleep(_EVERY)
        if not has_settled and time.monotonic() > settles:
            gc.collect()
            gc.freeze()
            has_settled = True
        counts, thresholds = gc.get_count(), gc.get_threshold()
        due = [age for age, (count, most) in enumerate(zip(counts, thresholds, strict=True)) if count > most]
        if due:
            gc.collect(max(due))


if __name__ == "__main__":
    main()
