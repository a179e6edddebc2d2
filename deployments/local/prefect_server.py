"""Prefect's command line for a server on SQLite, with three mends and a check of the Host header.

tests/canary says when each mend may go.

**Host header** (`uvicorn.Config.load`; as in Prefect 3.0.0, and still in 3.9.1). A web page can give its own
name this machine's address after it was loaded (DNS rebinding). To the browser, the server is then part of
that page's site. Prefect answers under any name. Here it answers only under the names of loopback and those
in the variable `EDGECAP_PREFECT_HOSTS`.

**Retries of events** (`Subscription.retry`; as in Prefect 3.0.0, and still in 3.9.1). While the database is
locked, no event can be processed. Prefect tries each four times within 60 ms and then drops it, so the
automation that takes up a dead run may never hear of its death. Here an event is retried for some seconds.

**Transactions** (`AioSqliteConfiguration.begin_transaction`; as in Prefect 3.0.0, and still in 3.9.1).
Prefect begins most of them DEFERRED: they read first, and write later. If another connection has written in
between, SQLite refuses the write at once, whatever the busy timeout is. The client then gets a 503, and waits
for two seconds. That happened to almost every run: the events of its first state are written just then. Here
each transaction begins IMMEDIATE: it waits for its turn to write, and then reads.

It waits in a queue of the event loop, without a connection. SQLite has no queue: a connection that waits
looks again every 1 to 100 ms, so the database idles in between, and a late transaction may go first. And
fifteen waiting transactions hold every connection that there is: then nobody can read, and a burst of runs
stopped the server. Only the transaction itself begins IMMEDIATE. Prefect leaves the mode to every task that
starts meanwhile, and then each of its reads would take the database for itself.

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
import os
import runpy
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from weakref import WeakKeyDictionary

import uvicorn
from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from prefect.server.utilities.messaging.memory import MemoryMessage, Subscription
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction
from starlette.middleware.trustedhost import TrustedHostMiddleware

from deployments.local.processes import LOOPBACK
from tasks.runtime.prefect_server import HOSTS

_STARTS = 20.0  # seconds; what the server has by then, it keeps
_EVERY = 0.25  # seconds between two looks at the collector's thresholds
_TRIES = 10
_FIRST, _MOST = 0.05, 2.0  # seconds before an event is looked at again, doubling: 11 seconds in all
PATIENCE = 60.0  # seconds in the queue; as long as Prefect's connections wait for SQLite
_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
_retry = Subscription.retry
_load = uvicorn.Config.load


def main() -> None:
    """Run the `prefect` command with the arguments of this program."""
    Subscription.retry = retry_later  # type: ignore[method-assign]
    uvicorn.Config.load = load_checking_hosts  # type: ignore[method-assign]
    AioSqliteConfiguration.begin_transaction = begin_to_write  # type: ignore[method-assign]
    gc.disable()
    threading.Thread(target=_collect, name="collector", daemon=True).start()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


def load_checking_hosts(self: uvicorn.Config) -> None:
    """Load the server's app, which then answers only under the names of `allowed_hosts`.

    Around the app and not in it: the server's own services call the app within the process, by another name.
    """
    _load(self)
    self.loaded_app = TrustedHostMiddleware(
        self.loaded_app, allowed_hosts=allowed_hosts(), www_redirect=False
    )


def allowed_hosts() -> list[str]:
    """The names under which the server answers; a name such as `*.example.net` stands for all below it."""
    more = os.environ.get(HOSTS, "").split(",")
    return [LOOPBACK, "localhost", *(name.strip() for name in more if name.strip())]


async def retry_later(self: Subscription, message: MemoryMessage) -> None:
    """Put a message back, after a pause that grows with each try."""
    self.max_retries = _TRIES
    await asyncio.sleep(min(_MOST, _FIRST * 2**message.retry_count))
    await _retry(self, message)


@asynccontextmanager
async def begin_to_write(
    self: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = False
) -> AsyncGenerator[AsyncSessionTransaction, None]:
    """Begin a transaction that waits for its turn to write before it reads."""
    del self, with_for_update
    async with _turn(), session.begin() as transaction:
        token = SQLITE_BEGIN_MODE.set("IMMEDIATE")
        try:
            await session.connection()
        finally:
            SQLITE_BEGIN_MODE.reset(token)
        yield transaction


@asynccontextmanager
async def _turn() -> AsyncGenerator[None, None]:
    """Wait until every transaction of this event loop that came before has ended.

    After a minute it goes on, and SQLite decides, as it does without a queue. So a transaction within another
    is refused in the end, and does not wait for ever.
    """
    queue = _queues.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    has_turn = False
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            has_turn = await queue.acquire()
    try:
        yield
    finally:
        if has_turn:
            queue.release()


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
