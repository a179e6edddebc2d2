"""What the inbox's tables know of an alert's attack. Each question has an index."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime

from edgecap.alerts.model import Alert, derive
from edgecap.alerts.policy.decision import Plan
from edgecap.incidents.columns import LAPSES, MICROSECOND, moment, plain
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


def ordered(db: sqlite3.Connection, incident: str) -> list[tuple[Plan, datetime]]:
    """The plans that an incident has ordered until its end, in their order, and when their alerts arrived."""
    rows = db.execute(
        "SELECT alerts.plan, orders.created FROM orders JOIN alerts ON alerts.id = orders.alert"
        " WHERE orders.incident = ? AND orders.event <> 'end' ORDER BY orders.id",
        (incident,),
    ).fetchall()
    return [(Plan.model_validate(json.loads(text)), moment(created)) for text, created in rows]


def told_before(db: sqlite3.Connection, alert: Alert, incident: str) -> list[Alert]:
    """How this same alert arrived before, in one incident, without mere repetitions."""
    rows = db.execute(
        "SELECT alert FROM alerts WHERE identity = ? AND incident = ? AND outcome <> 'repeated' ORDER BY id",
        (plain(alert.identity), incident),
    )
    return [Alert.model_validate(json.loads(text)) for (text,) in rows.fetchall()]


def is_open(db: sqlite3.Connection, incident: str) -> bool:
    """Whether an incident is not over."""
    row = db.execute("SELECT 1 FROM incidents WHERE id = ? AND closed IS NULL", (incident,)).fetchone()
    return row is not None


def goes_on(db: sqlite3.Connection, alert: Alert, incident: str) -> bool:
    """Whether the attack of an alert has not ended, in an incident that no later one superseded."""
    row = db.execute(
        "SELECT 1 FROM members JOIN incidents ON incidents.id = members.incident"
        " WHERE incident = ? AND members.key = ? AND ended IS NULL AND NOT superseded",
        (incident, plain(alert.incident)),
    ).fetchone()
    return row is not None


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
