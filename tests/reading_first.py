"""A transaction in Prefect's SQLite that reads, and writes after another connection wanted to write."""

import sqlite3
import threading

from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy import text


async def read_then_write(file, begin):
    """Let both write one row; raise SQLAlchemy's OperationalError if the transaction cannot.

    Args:
        file: where the database is made.
        begin: `AioSqliteConfiguration.begin_transaction`, or what stands in for it.
    """

    def write():
        with sqlite3.connect(file, timeout=60) as connection:
            connection.execute("INSERT INTO t VALUES ('other')")
        connection.close()

    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (x)")
    prefect = AioSqliteConfiguration(connection_url=f"sqlite+aiosqlite:///{file}")
    engine = await prefect.engine()
    other = threading.Thread(target=write)
    try:
        async with await prefect.session(engine) as session, begin(prefect, session):
            await session.execute(text("SELECT x FROM t"))
            other.start()
            other.join(1)  # it ends now, or waits for this transaction
            await session.execute(text("INSERT INTO t VALUES ('first')"))
        other.join()
        assert {row[0] for row in connection.execute("SELECT x FROM t")} == {"first", "other"}
    finally:
        await engine.dispose()
        connection.close()
