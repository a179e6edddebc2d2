"""Forgets old incidents and arrivals, a little at a time, so that new arrivals never wait for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta

from edgecap.incidents.columns import LAPSES
from edgecap.incidents.inbox.database import Database

_AT_ONCE = 200  # rows in a transaction: a few milliseconds
_DAY = timedelta(days=1) // timedelta(microseconds=1)
_LAPSES = LAPSES // timedelta(microseconds=1)


def prune(database: Database, before: int) -> int:
    """Forget what had its last alert before this time, in microseconds since 1970.

    Returns:
        How many arrivals were forgotten.
    """
    while _step(database, _incidents, before):
        pass
    forgotten = 0
    while done := _step(database, _arrivals, before):
        forgotten += done
    with database.transaction() as db:
        db.execute("DELETE FROM spent WHERE rule <> '' AND day < ?", (before // _DAY,))
        db.execute("DELETE FROM early_ends WHERE received < ?", (before,))
    return forgotten


def _step(database: Database, forget: Callable[[sqlite3.Connection, int], int], before: int) -> int:
    with database.transaction() as db:
        return forget(db, before)


def _incidents(db: sqlite3.Connection, before: int) -> int:
    ids = db.execute(
        "SELECT id FROM incidents WHERE last < ? AND (closed IS NOT NULL OR last < ?) AND NOT EXISTS"
        " (SELECT 1 FROM orders WHERE orders.incident = incidents.id AND flow_run IS NULL) LIMIT ?",
        (before, before - _LAPSES, _AT_ONCE),
    ).fetchall()
    for statement in (
        "DELETE FROM orders WHERE incident = ?",
        "DELETE FROM alerts WHERE incident = ?",
        "DELETE FROM members WHERE incident = ?",
        "DELETE FROM incidents WHERE id = ?",
    ):
        db.executemany(statement, ids)
    return len(ids)


def _arrivals(db: sqlite3.Connection, before: int) -> int:
    ids = db.execute(
        "SELECT id FROM arrivals WHERE received < ? AND state <> 'pending' AND NOT EXISTS"
        " (SELECT 1 FROM alerts WHERE arrival = arrivals.id AND incident IS NOT NULL) LIMIT ?",
        (before, _AT_ONCE),
    ).fetchall()
    db.executemany("DELETE FROM alerts WHERE arrival = ?", ids)
    db.executemany("DELETE FROM arrivals WHERE id = ?", ids)
    return len(ids)
