"""What is different in our Prefect server."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.utilities.messaging.memory import MemoryMessage, Subscription, Topic
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from deployments.local.prefect_server import begin_to_write, retry_later
from tests.reading_first import read_then_write


async def test_an_event_outlives_a_database_that_is_locked_for_a_second(tmp_path):
    """By itself Prefect drops it after four tries without a pause."""
    subscription = Subscription(Topic("events"), dead_letter_queue_path=tmp_path / "dropped")
    message = MemoryMessage(data="{}", attributes={})
    began = time.monotonic()
    while time.monotonic() < began + 1:
        await retry_later(subscription, message)
        assert await subscription.get() is message
    assert message.retry_count < 8
    assert not (tmp_path / "dropped").exists()


async def test_a_transaction_that_reads_first_can_still_write(tmp_path):
    """Another connection that wants to write meanwhile waits."""
    await read_then_write(tmp_path / "prefect.db", begin_to_write)


class Configuration(AioSqliteConfiguration):
    """Prefect's, with 3 seconds instead of a minute until SQLite gives up."""

    def setup_sqlite(self, conn, record):
        super().setup_sqlite(conn, record)
        cursor = conn.cursor()
        cursor.execute("PRAGMA busy_timeout = 3000")
        cursor.close()


@pytest.fixture
async def prefect(tmp_path):
    """Makes sessions in a database with an empty table `t`."""
    config = Configuration(connection_url=f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}")
    engine = await config.engine()

    @asynccontextmanager
    async def writing():
        async with await config.session(engine) as session, begin_to_write(config, session):
            yield session

    config.writing, config.reading = writing, lambda: config.session(engine)
    async with writing() as session:
        await session.execute(text("CREATE TABLE t (x INTEGER)"))
    yield config
    await engine.dispose()


async def write(prefect, number):
    async with prefect.writing() as session:
        await session.execute(text(f"INSERT INTO t VALUES ({number})"))


async def read(prefect):
    async with await prefect.reading() as session:
        return [row[0] for row in await session.execute(text("SELECT x FROM t ORDER BY rowid"))]


async def test_waiting_transactions_go_in_turn_and_reads_are_answered(prefect):
    """Prefect has 15 connections: without a queue, each waiting transaction holds one."""
    async with prefect.writing() as session:
        await session.execute(text("INSERT INTO t VALUES (-1)"))
        waiting = []
        for number in range(40):
            waiting.append(asyncio.create_task(write(prefect, number)))
            await asyncio.sleep(0)
        await asyncio.sleep(0.2)
        async with asyncio.timeout(20):
            assert await read(prefect) == []
    await asyncio.gather(*waiting)
    assert await read(prefect) == list(range(-1, 40))


async def test_a_transaction_within_another_is_refused_in_the_end(prefect, monkeypatch):
    """In the queue alone it would wait for ever."""
    monkeypatch.setattr("deployments.local.prefect_server.PATIENCE", 1)
    async with prefect.writing():
        with pytest.raises(OperationalError, match="locked"):
            await write(prefect, 1)
    await write(prefect, 2)
    assert await read(prefect) == [2]


async def test_a_task_that_a_transaction_starts_can_read_meanwhile(prefect):
    async with prefect.writing() as session:
        await session.execute(text("INSERT INTO t VALUES (1)"))
        async with asyncio.timeout(20):
            assert await asyncio.create_task(read(prefect)) == []
            assert await read(prefect) == []


async def test_a_cancelled_transaction_gives_its_turn_back(prefect):
    async def never_ends():
        async with prefect.writing() as session:
            await session.execute(text("INSERT INTO t VALUES (1)"))
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(never_ends()) for _ in range(3)]
    await asyncio.sleep(0.2)
    for task in tasks:  # the first has its turn, the others wait for theirs
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(20):
        await write(prefect, 2)
    assert await read(prefect) == [2]
