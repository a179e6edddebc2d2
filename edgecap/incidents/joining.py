"""What an alert does: it opens an incident, joins or escalates one, ends one, or repeats an earlier alert.

Reads and writes the inbox's tables within the caller's transaction. The clock is the alerts' own `received`,
so an interrupted step gives the same result when it runs again.

- The same identity again is a repetition. But a start that has grown, so that it would escalate its incident,
  is no repetition while its attack goes on; nor is one that was held back by a cooldown which is over now.
- A start joins the open incident that has its key. Else it joins the one about the same target, or is held
  back by it, as `edgecap.incidents.cooldown` says. Else it opens an incident.
- A start that joins an open incident escalates it if it is more severe than all alerts before it, names a new
  data centre, or is about packets that no capture of it asked for, such as those of another protocol: the
  captures that the incident does not have yet are ordered.
- A start that says which prefixes are announced now escalates the newest incident about an address in them:
  its traffic arrives only now, so its full captures are taken again.
- An incident is over when every attack that joined it has ended. The last end orders the captures of `after`:
  with the incident's filter, see `edgecap.incidents.afterwards`.
- An end ends the attack with its key. If its key is new, it ends what goes on of the same thing, such as an
  alert of Grafana with the same fingerprint.
- An end whose start has not arrived yet is remembered for `LAPSES`. It ends the incident that the start
  opens, if the attack began before that end.
- An end may never arrive. After `LAPSES` without an alert, a start with the key of an open incident
  supersedes it, and an identity counts as new. The exception is an alert with a start time whose incident is
  open: some products remind once a week.
- A rule has a budget of captures for each UTC day: see `edgecap.incidents.budget`.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import timedelta

from edgecap.alerts.model import Alert, derive, rank
from edgecap.alerts.policy.decision import Plan
from edgecap.alerts.words import what_it_is
from edgecap.incidents.afterwards import comparable
from edgecap.incidents.budget import spend, within_budget
from edgecap.incidents.columns import LAPSES, MICROSECOND, microseconds, plain, to_text
from edgecap.incidents.cooldown import is_held_back, near
from edgecap.incidents.escalation import added, says_more
from edgecap.incidents.inbox.rows import Boundary, Outcome
from edgecap.incidents.lookups import (
    goes_on,
    going_on,
    is_open,
    known,
    new_id,
    ordered,
    told_before,
    waits_for,
)


@dataclass(frozen=True, slots=True)
class _Ruling:
    outcome: Outcome
    incident: str | None
    plan: Plan
    ends: str = ""  # the key of the attack that ends


def enter(
    db: sqlite3.Connection, arrival: int, position: int, alert: Alert, plan: Plan
) -> tuple[Outcome, Plan]:
    """Decide on one alert and write all that follows from it.

    Args:
        db: within a transaction.
        arrival: the id of its arrival.
        position: its place therein, from 0.
        alert: the alert.
        plan: what was decided about it.

    Returns:
        What it came to, and what of the plan was left.
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
    _follow(db, written, alert, ruling, at)
    if ruling.outcome in (Outcome.OPENED, Outcome.OVER_BUDGET):
        _end_early(db, alert, at)
    return ruling.outcome, ruling.plan


def _follow(db: sqlite3.Connection, written: int, alert: Alert, ruling: _Ruling, at: int) -> None:
    """Write what follows from a ruling."""
    key = plain(alert.incident)
    match ruling:
        case _Ruling(Outcome.OPENED | Outcome.OVER_BUDGET, str(incident), plan):
            # There is one to supersede only after a long silence: `_on_start` joins it before that.
            db.execute(
                "UPDATE incidents SET closed = ?, superseded = 1 WHERE closed IS NULL AND id IN"
                " (SELECT incident FROM members WHERE key = ? AND ended IS NULL)",
                (at, key),
            )
            db.execute(
                "UPDATE incidents SET closed = ?, superseded = 1 WHERE key = ? AND closed IS NULL", (at, key)
            )
            db.execute(
                "INSERT INTO incidents (id, key, about, rule, opening, opened, last, gravest)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (incident, key, plain(plan.about), plain(plan.rule), written, at, at, rank(alert.severity)),
            )
            _begin(db, incident, alert)
            _order(db, incident, "start", written, alert, plan, at)
        case _Ruling(Outcome.ESCALATED, str(incident), plan):
            _begin(db, incident, alert)
            _note(db, incident, at, gravest=rank(alert.severity))
            _order(db, incident, "escalation", written, alert, plan, at)
        case _Ruling(Outcome.ENDED, str(incident), plan):
            _end(db, incident, ruling.ends, at)
            db.execute(
                "UPDATE incidents SET closed = ?, last = max(last, ?) WHERE id = ?", (at, at, incident)
            )
            _order(db, incident, "end", written, alert, plan, at)
        case _Ruling(Outcome.JOINED, str(incident)):
            if alert.event == "start":
                _begin(db, incident, alert)
                _note(db, incident, at, gravest=rank(alert.severity))
            else:
                _end(db, incident, ruling.ends, at)
                db.execute("UPDATE incidents SET last = max(last, ?) WHERE id = ?", (at, incident))
        case _Ruling(Outcome.REPEATED, str(incident)):
            db.execute(
                "UPDATE incidents SET repeated = repeated + 1, last = max(last, ?)"
                " WHERE id = ? AND closed IS NULL",
                (at, incident),
            )
            if alert.event == "end":  # of a start that was held back: the incident itself is over
                _end(db, incident, key, at)
        case _Ruling(Outcome.NOTHING) if alert.event == "end":
            db.execute(
                "INSERT OR REPLACE INTO early_ends (key, ended, received, alert) VALUES (?, ?, ?, ?)",
                (key, microseconds(alert.ended or alert.received), at, written),
            )


def _rule(db: sqlite3.Connection, alert: Alert, plan: Plan, at: int) -> _Ruling:
    if alert.event == "other":
        return _Ruling(Outcome.NOTHING, None, plan)
    if before := known(db, alert, at):
        again = _grown(db, before, alert, plan, at) if alert.event == "start" else None
        return again or _Ruling(Outcome.REPEATED, before, plan)
    return _on_start(db, alert, plan, at) if alert.event == "start" else _on_end(db, alert, plan, at)


def _grown(db: sqlite3.Connection, incident: str, alert: Alert, plan: Plan, at: int) -> _Ruling | None:
    """What a start that was sent again does beyond repeating; None if it only repeats."""
    if not goes_on(db, alert, incident):
        return None
    if is_open(db, incident):
        return (
            _join(db, incident, alert, plan, at)
            if says_more(alert, told_before(db, alert, incident))
            else None
        )
    # It was held back after that incident, and its attack goes on: perhaps longer than the cooldown.
    ruling = _on_start(db, alert, plan, at)
    return None if ruling.outcome is Outcome.NOTHING or is_held_back(ruling.plan) else ruling


def _on_start(db: sqlite3.Connection, alert: Alert, plan: Plan, at: int) -> _Ruling:
    longest = max(timedelta(seconds=plan.cooldown), LAPSES) // MICROSECOND
    same = db.execute(
        "SELECT incidents.id FROM members JOIN incidents ON incidents.id = members.incident"
        " WHERE members.key = ? AND closed IS NULL AND last >= ? ORDER BY last DESC LIMIT 1",
        (plain(alert.incident), at - longest),
    ).fetchone()
    if same:
        return _join(db, same[0], alert, plan, at)
    if waits := waits_for(db, alert):
        return _join(db, waits, alert, plan, at)
    if plan.filter is None and not plan.captures:  # no captures, neither now nor at the end
        return _Ruling(Outcome.NOTHING, None, plan)
    if found := near(db, alert, plan, at):
        if found.held is None:
            return _join(db, found.incident, alert, plan, at)
        return _Ruling(Outcome.JOINED, found.incident, found.held)
    fitting = within_budget(db, plan, alert.severity, at)
    outcome = Outcome.OPENED if fitting is plan else Outcome.OVER_BUDGET
    return _Ruling(outcome, new_id(db, alert), fitting)


def _join(db: sqlite3.Connection, incident: str, alert: Alert, plan: Plan, at: int) -> _Ruling:
    """Join an open incident, and add to it what it lacks."""
    (gravest,) = db.execute("SELECT gravest FROM incidents WHERE id = ?", (incident,)).fetchone()
    before = ordered(db, incident)
    if alert.is_announcement:  # the traffic begins to arrive: the incident's full captures saw none of it
        again = [each for one, _ in before for each in one.captures if each.phase == "during"]
        plan = plan.model_copy(update={"captures": (*again, *plan.captures)})
    more_severe = rank(alert.severity) > gravest or alert.is_announcement
    captures = added(plan, before, more_severe=more_severe, at=alert.received)
    if not captures:
        why = "no more captures: its incident has them, and this alert is no more severe"
        told = plan.model_copy(update={"captures": (), "reason": why}) if plan.captures else plan
        return _Ruling(Outcome.JOINED, incident, told)
    why = f"captures: {len(captures)} more, since this alert is more severe or says more than those before it"
    fitting = within_budget(
        db, plan.model_copy(update={"captures": captures, "reason": why}), alert.severity, at
    )
    return _Ruling(Outcome.ESCALATED if fitting.captures else Outcome.JOINED, incident, fitting)


def _on_end(db: sqlite3.Connection, alert: Alert, plan: Plan, at: int) -> _Ruling:
    running = going_on(db, alert)
    if running:
        incident, key = running
        if others := _others(db, incident, key):
            held = plan.model_copy(update={"captures": (), "reason": f"no captures: {others}"})
            return _Ruling(Outcome.JOINED, incident, held, ends=key)
        plan = comparable(plan, [before for before, _ in ordered(db, incident)])
        return _Ruling(Outcome.ENDED, incident, within_budget(db, plan, alert.severity, at), ends=key)
    heard = db.execute(
        "SELECT incident FROM alerts WHERE key = ? AND incident IS NOT NULL ORDER BY id DESC LIMIT 1",
        (plain(alert.incident),),
    ).fetchone()
    if heard is None:
        return _Ruling(Outcome.NOTHING, None, plan)
    return _Ruling(Outcome.REPEATED, heard[0], plan)


def _others(db: sqlite3.Connection, incident: str, key: str) -> str:
    """Which attacks of an incident go on beside the one with this key, in words; empty if none does."""
    keys = [
        other
        for (other,) in db.execute(
            "SELECT key FROM members WHERE incident = ? AND key <> ? AND ended IS NULL ORDER BY key",
            (incident, key),
        )
    ]
    if not keys:
        return ""
    told = db.execute(
        "SELECT alert FROM alerts WHERE incident = ? AND key = ? ORDER BY id DESC LIMIT 1",
        (incident, keys[0]),
    ).fetchone()
    name = what_it_is(Alert.model_validate(json.loads(told[0]))) if told else "another attack"
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return f"the incident goes on: {name}{more} {'have' if more else 'has'} not ended"


def _end_early(db: sqlite3.Connection, alert: Alert, at: int) -> None:
    """End the incident that this start has opened, if its end arrived first."""
    early = db.execute(
        "SELECT early_ends.ended, early_ends.received, alert_of.id, alert_of.alert, alert_of.plan"
        " FROM early_ends JOIN alerts AS alert_of ON alert_of.id = early_ends.alert WHERE early_ends.key = ?",
        (plain(alert.incident),),
    ).fetchone()
    if early is None:
        return
    ended, received, written, text, plan = early
    db.execute("DELETE FROM early_ends WHERE key = ?", (plain(alert.incident),))
    if alert.started is None or microseconds(alert.started) > ended or at - received > LAPSES // MICROSECOND:
        return  # the end of an earlier attack
    end = Alert.model_validate(json.loads(text))
    ruling = _on_end(db, end, Plan.model_validate(json.loads(plan)), at)
    if ruling.outcome is not Outcome.NOTHING:
        db.execute(
            "UPDATE alerts SET outcome = ?, incident = ?, plan = ? WHERE id = ?",
            (ruling.outcome, ruling.incident, to_text(ruling.plan), written),
        )
        _follow(db, written, end, ruling, at)


def _order(
    db: sqlite3.Connection, incident: str, event: Boundary, written: int, alert: Alert, plan: Plan, at: int
) -> None:
    spend(db, plan, alert.severity, at)
    key = (incident, event) if event != "escalation" else (incident, event, alert.identity, str(at))
    db.execute(
        "INSERT INTO orders (incident, event, alert, key, created) VALUES (?, ?, ?, ?, ?)",
        (incident, event, written, derive(*key), at),
    )


def _begin(db: sqlite3.Connection, incident: str, alert: Alert) -> None:
    """An attack of the incident goes on. An announcement is none, and has no end."""
    if (
        alert.is_announcement
        and db.execute("SELECT 1 FROM members WHERE incident = ?", (incident,)).fetchone()
    ):
        return
    db.execute(
        "INSERT INTO members (incident, key, thing, ended) VALUES (?, ?, ?, NULL)"
        " ON CONFLICT (incident, key) DO UPDATE SET ended = NULL",
        (incident, plain(alert.incident), plain(alert.thing)),
    )


def _end(db: sqlite3.Connection, incident: str, key: str, at: int) -> None:
    """An attack of the incident is over."""
    db.execute(
        "UPDATE members SET ended = ? WHERE incident = ? AND key = ? AND ended IS NULL", (at, incident, key)
    )


def _note(db: sqlite3.Connection, incident: str, at: int, *, gravest: int) -> None:
    """Count an attack's alert that joined, not its end.

    An incident that is over counts on while its cooldown lasts.
    """
    db.execute(
        "UPDATE incidents SET joined = joined + 1, last = max(last, ?), gravest = max(gravest, ?)"
        " WHERE id = ?",
        (at, gravest, incident),
    )
