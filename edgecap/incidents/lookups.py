"""What the inbox's tables know of an alert's attack. Each question has an index."""

from __future__ import annotations

import sqlite3

from edgecap.alerts.model import Alert, derive
from edgecap.incidents.columns import LAPSES, MICROSECOND, plain
from edgecap.incidents.escalation import is_within

_MOST_OPEN = 1000  # open incidents that are looked at for an announced prefix


def known(db: sqlite3.Connection, alert: Alert, at: int) -> str | None:
    """The incident of this same alert when it arrived before."""
    row = db.execute(
        "SELECT alerts.incident, alerts.received, incidents.closed FROM alerts"
        " JOIN incidents ON incidents.id = alerts.incident"
        " WHERE alerts.identity = ? AND alerts.incident IS NOT NULL ORDER BY alerts.id DESC LIMIT 1",
        (plain(alert.identity),),
    ).fetchone()
    if row is None:
        return None
    incident, heard, closed = row
    fresh = at - heard <= LAPSES // MICROSECOND
    goes_on = closed is None and alert.started is not None
    return str(incident) if fresh or goes_on else None


def waits_for(db: sqlite3.Connection, alert: Alert) -> str | None:
    """The newest open incident with a target in the prefixes that an alert says are announced now."""
    if not alert.is_announcement:
        return None
    rows = db.execute(
        "SELECT id, about FROM incidents WHERE closed IS NULL ORDER BY last DESC, id LIMIT ?", (_MOST_OPEN,)
    )
    return next((id_ for id_, about in rows if is_within(about, alert.announced)), None)


def going_on(db: sqlite3.Connection, alert: Alert) -> tuple[str, str] | None:
    """The incident and the key of the attack that this end is about, if it goes on."""
    columns = [("key", alert.incident)]
    if alert.thing and not is_known(db, alert.incident):
        columns.append(("thing", alert.thing))
    for column, value in columns:
        row = db.execute(
            "SELECT incidents.id, members.key FROM members JOIN incidents ON incidents.id = members.incident"  # noqa: S608 - one of two constants
            f" WHERE members.{column} = ? AND ended IS NULL AND closed IS NULL"
            + (" AND thing <> ''" if column == "thing" else "")
            + " ORDER BY last DESC LIMIT 1",
            (plain(value),),
        ).fetchone()
        if row:
            return row[0], row[1]
    return None


def is_known(db: sqlite3.Connection, key: str) -> bool:
    """Whether an alert with this key belongs to an incident."""
    row = db.execute(
        "SELECT 1 FROM alerts WHERE key = ? AND incident IS NOT NULL LIMIT 1", (plain(key),)
    ).fetchone()
    return row is not None


def new_id(db: sqlite3.Connection, alert: Alert) -> str:
    """The id of an incident that this start opens.

    An identity without a start time comes again with the next attack, and so does one that lapsed.
    """
    parts = (alert.incident, alert.identity)
    derived = derive(*parts)
    taken = db.execute("SELECT 1 FROM incidents WHERE id = ?", (derived,)).fetchone()
    return derive(*parts, alert.received.isoformat()) if taken or alert.started is None else derived
