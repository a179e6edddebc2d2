"""What an alert does: it opens an incident, joins one, ends one, or repeats an earlier alert.

Reads and writes the inbox's tables within the caller's transaction. The clock is the alerts' own `received`,
so an interrupted step gives the same result when it runs again.

- The same identity again is a repetition.
- A start joins the open incident with its key. Else it joins the one about the same target, if that had an
  alert within the plan's cooldown. Else it opens an incident.
- An end closes the open incident with its key. The end of an attack that joined an incident of another key is
  only counted: the incident's own end closes it.
- An end may never arrive. After `LAPSES` without an alert, a start with the key of an open incident
  supersedes it, and an identity counts as new. The exception is an alert with a start time whose incident is
  open: some products remind once a week.
- A rule has a budget of captures for each UTC day. A plan's first captures matter most, so they fit first.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from edgecap.alerts.model import Alert, derive
from edgecap.alerts.policy.decision import Plan
from edgecap.incidents.inbox.rows import Boundary, Outcome

LAPSES = timedelta(hours=24)
"""How long an incident stays open, or an identity the same, without an alert."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class _Ruling:
    outcome: Outcome
    incident: str | None
    plan: Plan


def microseconds(moment: datetime) -> int:
    """How the tables hold a time.

    Raises:
        ValueError: it has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return (moment - _EPOCH) // _MICROSECOND


def moment(stored: int) -> datetime:
    """The time for a number of the tables."""
    return _EPOCH + stored * _MICROSECOND


def to_text(record: BaseModel) -> str:
    """How the tables hold an alert or a plan; every text survives it."""
    return json.dumps(record.model_dump(mode="json"), separators=(",", ":"))


def plain(text: str) -> str:
    """Text that SQLite can hold, for columns that are only compared."""
    return text.encode("utf-8", "replace").decode()


def enter(db: sqlite3.Connection, arrival: int, position: int, alert: Alert, plan: Plan) -> Outcome:
    """Decide on one alert and write all that follows from it.

    Args:
        db: within a transaction.
        arrival: the id of its arrival.
        position: its place therein, from 0.
        alert: the alert.
        plan: what was decided about it.
    """
    at = microseconds(alert.received)
    ruling = _rule(db, alert, plan, at)
    written = db.execute(
        "INSERT INTO alerts (arrival, position, identity, key, received, outcome, incident, alert, plan)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            arrival,
            position,
            plain(alert.identity),
            plain(alert.incident),
            at,
            ruling.outcome,
            ruling.incident,
            to_text(alert),
            to_text(ruling.plan),
        ),
    ).lastrowid
    assert written is not None
    match ruling:
        case _Ruling(Outcome.OPENED | Outcome.OVER_BUDGET, str(incident), fitting):
            # There is one to supersede only after a long silence: `_on_start` joins it before that.
            _close(db, alert.incident, at, superseded=True)
            db.execute(
                "INSERT INTO incidents (id, key, about, rule, opening, opened, last)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (incident, plain(alert.incident), plain(plan.about), plain(plan.rule), written, at, at),
            )
            _order(db, incident, "start", written, fitting, at)
        case _Ruling(Outcome.ENDED, str(incident), fitting):
            _close(db, alert.incident, at, superseded=False)
            _order(db, incident, "end", written, fitting, at)
        case _Ruling(Outcome.JOINED, str(incident)):
            _note(db, incident, at, joined=1)
        case _Ruling(Outcome.REPEATED, str(incident)):
            _note(db, incident, at, repeated=1)
    return ruling.outcome


def _rule(db: sqlite3.Connection, alert: Alert, plan: Plan, at: int) -> _Ruling:
    if alert.event == "other":
        return _Ruling(Outcome.NOTHING, None, plan)
    if known := _known(db, alert, at):
        return _Ruling(Outcome.REPEATED, known, plan)
    return _on_start(db, alert, plan, at) if alert.event == "start" else _on_end(db, alert, plan, at)


def _known(db: sqlite3.Connection, alert: Alert, at: int) -> str | None:
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
    fresh = at - heard <= LAPSES // _MICROSECOND
    goes_on = closed is None and alert.started is not None
    return str(incident) if fresh or goes_on else None


def _on_start(db: sqlite3.Connection, alert: Alert, plan: Plan, at: int) -> _Ruling:
    cooldown = timedelta(seconds=plan.cooldown) // _MICROSECOND
    same = db.execute(
        "SELECT id FROM incidents WHERE key = ? AND closed IS NULL AND last >= ?",
        (plain(alert.incident), at - max(cooldown, LAPSES // _MICROSECOND)),
    ).fetchone()
    if same:
        return _Ruling(Outcome.JOINED, same[0], plan)
    if plan.filter is None and not plan.captures:  # no captures, neither now nor at the end
        return _Ruling(Outcome.NOTHING, None, plan)
    near = (
        cooldown
        and db.execute(
            "SELECT id FROM incidents WHERE about = ? AND closed IS NULL AND last > ?"
            " ORDER BY last DESC, id LIMIT 1",
            (plain(plan.about), at - cooldown),
        ).fetchone()
    )
    if near:
        return _Ruling(Outcome.JOINED, near[0], plan)
    fitting = _within_budget(db, plan, at)
    outcome = Outcome.OPENED if fitting is plan else Outcome.OVER_BUDGET
    return _Ruling(outcome, _new_id(db, alert), fitting)


def _on_end(db: sqlite3.Connection, alert: Alert, plan: Plan, at: int) -> _Ruling:
    key = plain(alert.incident)
    running = db.execute("SELECT id FROM incidents WHERE key = ? AND closed IS NULL", (key,)).fetchone()
    if running:
        return _Ruling(Outcome.ENDED, running[0], _within_budget(db, plan, at))
    heard = db.execute(
        "SELECT incidents.id, incidents.closed FROM alerts JOIN incidents ON incidents.id = alerts.incident"
        " WHERE alerts.key = ? AND alerts.incident IS NOT NULL ORDER BY alerts.id DESC LIMIT 1",
        (key,),
    ).fetchone()
    if heard is None:
        return _Ruling(Outcome.NOTHING, None, plan)
    return _Ruling(Outcome.JOINED if heard[1] is None else Outcome.REPEATED, heard[0], plan)


def _new_id(db: sqlite3.Connection, alert: Alert) -> str:
    """The id of an incident that this start opens.

    An identity without a start time comes again with the next attack, and so does one that lapsed.
    """
    parts = (alert.incident, alert.identity)
    derived = derive(*parts)
    taken = db.execute("SELECT 1 FROM incidents WHERE id = ?", (derived,)).fetchone()
    return derive(*parts, alert.received.isoformat()) if taken or alert.started is None else derived


def _within_budget(db: sqlite3.Connection, plan: Plan, at: int) -> Plan:
    """The plan with the captures that fit into the rule's budget of the day."""
    wanted = len(plan.captures)
    spent = db.execute(
        "SELECT captures FROM spent WHERE rule = ? AND day = ?", (plain(plan.rule), at // _DAY)
    ).fetchone()
    left = max(0, plan.daily_budget - (spent[0] if spent else 0))
    if wanted <= left:
        return plan
    lost = ", ".join(f"{each.phase} {each.number}" for each in plan.captures[left:])
    budget = f"the daily budget of {plan.daily_budget} captures of rule {plan.rule!r}"
    told = f"captures: {left} of {wanted}" if left else f"no captures: {budget} is used up"
    remark = f"left out, since {budget} is used up until midnight UTC: {lost}"
    return plan.model_copy(
        update={"captures": plan.captures[:left], "reason": told, "remarks": (*plan.remarks, remark)}
    )


def _order(db: sqlite3.Connection, incident: str, event: Boundary, alert: int, plan: Plan, at: int) -> None:
    if plan.captures:
        db.execute(
            "INSERT INTO spent (rule, day, captures) VALUES (?, ?, ?)"
            " ON CONFLICT (rule, day) DO UPDATE SET captures = captures + excluded.captures",
            (plain(plan.rule), at // _DAY, len(plan.captures)),
        )
    db.execute(
        "INSERT INTO orders (incident, event, alert, key, created) VALUES (?, ?, ?, ?, ?)",
        (incident, event, alert, derive(incident, event), at),
    )


def _close(db: sqlite3.Connection, key: str, at: int, *, superseded: bool) -> None:
    db.execute(
        "UPDATE incidents SET closed = ?, superseded = ?, last = max(last, ?)"
        " WHERE key = ? AND closed IS NULL",
        (at, superseded, 0 if superseded else at, plain(key)),
    )


def _note(db: sqlite3.Connection, incident: str, at: int, *, joined: int = 0, repeated: int = 0) -> None:
    db.execute(
        "UPDATE incidents SET joined = joined + ?, repeated = repeated + ?, last = max(last, ?)"
        " WHERE id = ? AND closed IS NULL",
        (joined, repeated, at, incident),
    )
