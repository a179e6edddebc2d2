"""The cooldown: whether a start about the same target joins an incident, and whether an end holds it back.

- While an incident is open, a start joins it if the incident had an alert within the cooldown of the start's
  own rule. Nothing is lost so: the incident takes the captures that it does not have yet.
- After its end, a start is held back: it is counted, and takes no captures. Here the shorter cooldown of two
  counts, since an attack could be lost: that of the rule which opened the incident, and that of the start's
  own rule. A start is not held back if it is more severe than the incident was, or is about packets that no
  capture of it asked for.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import timedelta

from edgecap.alerts.model import Alert, rank
from edgecap.alerts.policy.decision import Plan
from edgecap.incidents.columns import LAPSES, MICROSECOND, plain
from edgecap.incidents.escalation import asks_for_more
from edgecap.incidents.lookups import ordered
from edgecap.units import duration

HELD_BACK = "held back by the cooldown of"
"""How a plan's remark begins on a start that takes no captures, since an incident ended shortly before."""

_SECOND = timedelta(seconds=1) // MICROSECOND
_MOST = 50  # incidents about one target that are looked at, the newest first


@dataclass(frozen=True, slots=True)
class Near:
    """An incident about the same target.

    Attributes:
        incident: its id.
        held: the start's plan without captures, and why; None if the incident is open.
    """

    incident: str
    held: Plan | None


def near(db: sqlite3.Connection, alert: Alert, plan: Plan, at: int) -> Near | None:
    """The incident that a start joins for being about the same target; None if it is to open one.

    Args:
        db: the inbox, within a transaction.
        alert: the start.
        plan: what was decided about it.
        at: when it arrived, as the tables hold it.
    """
    if not plan.cooldown:
        return None
    rows = db.execute(
        "SELECT incidents.id, closed, last, gravest, alerts.plan FROM incidents"
        " JOIN alerts ON alerts.id = incidents.opening WHERE about = ? AND last > ? AND NOT superseded"
        " AND (closed IS NULL OR opened > ?) ORDER BY closed IS NOT NULL, last DESC, incidents.id LIMIT ?",
        (plain(plan.about), at - plan.cooldown * _SECOND, at - LAPSES // MICROSECOND, _MOST),
    )
    for incident, closed, last, gravest, opening in rows.fetchall():
        if closed is None:
            return Near(incident, None)
        shorter = min(plan, Plan.model_validate(json.loads(opening)), key=_cooldown)
        is_over = not shorter.cooldown or last <= at - shorter.cooldown * _SECOND
        if is_over or rank(alert.severity) > gravest or asks_for_more(plan, ordered(db, incident)):
            continue
        return Near(incident, _held(plan, incident, shorter, since=(at - last) / _SECOND))
    return None


def is_held_back(plan: Plan) -> bool:
    """Whether a plan has lost its captures to a cooldown."""
    return any(remark.startswith(HELD_BACK) for remark in plan.remarks)


def _held(plan: Plan, incident: str, rule: Plan, *, since: float) -> Plan:
    told = f"{HELD_BACK} {rule.cooldown} s of rule {rule.rule!r}: incident {incident[:8]} of {plan.about}"
    return plan.model_copy(
        update={
            "captures": (),
            "reason": f"no captures: {told} is over, and had its last alert {duration(since)} before",
            "remarks": (*plan.remarks, f"{told} ended shortly before"),
        }
    )


def _cooldown(plan: Plan) -> int:
    return plan.cooldown
