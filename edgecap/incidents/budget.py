"""The budget of captures that a rule of the policy has for a UTC day, as the inbox counts it.

A part of it is reserved for grave alerts, and each target has a budget of its own within it. Grave alerts and
others are counted apart, so a target that flaps all day with a low severity does not cost the attack on it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import timedelta

from edgecap.alerts.model import Severity
from edgecap.alerts.policy.decision import Plan, Planned
from edgecap.incidents.columns import MICROSECOND, plain

GRAVE: tuple[Severity, ...] = ("critical", "high")
LEFT_OUT = "left out, since"
"""How a plan's remark begins on captures that no budget is left for."""

_DAY = timedelta(days=1) // MICROSECOND


def within_budget(db: sqlite3.Connection, plan: Plan, severity: Severity, at: int) -> Plan:
    """The plan with the captures that fit. Its first captures matter most, so they fit first.

    Args:
        db: the inbox, within a transaction.
        plan: what was decided.
        severity: the alert's.
        at: when it arrived, as the tables hold it.
    """
    left, budget = _left(db, plan, severity, at)
    wanted = _cost(plan.captures)
    if wanted <= left:
        return plan
    kept, lost = _cut(plan.captures, left)
    told = f"captures: {_cost(kept)} of {wanted}" if kept else f"no captures: {budget} is used up"
    remark = f"{LEFT_OUT} {budget} is used up until midnight UTC: {', '.join(lost)}"
    return plan.model_copy(update={"captures": kept, "reason": told, "remarks": (*plan.remarks, remark)})


def _cut(captures: tuple[Planned, ...], left: int) -> tuple[tuple[Planned, ...], list[str]]:
    """The first captures that fit, and the names of those that do not; one may go to fewer places."""
    kept: list[Planned] = []
    lost = []
    for each in captures:
        fits = min(each.most, left)
        left -= fits
        if fits:
            kept.append(each.model_copy(update={"most": fits}))
        if fits < each.most:
            name = f"{each.phase} {each.number}"
            lost.append(f"{name} at {each.most - fits} of its {each.most} places" if fits else name)
    return tuple(kept), lost


def _cost(captures: Iterable[Planned]) -> int:
    """How many captures these may become."""
    return sum(each.most for each in captures)


def spend(db: sqlite3.Connection, plan: Plan, severity: Severity, at: int) -> None:
    """Count the captures of a plan that is ordered."""
    if plan.captures:
        db.execute(
            "INSERT INTO spent (rule, day, about, reserved, captures) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (rule, day, about, reserved)"
            " DO UPDATE SET captures = captures + excluded.captures",
            (plain(plan.rule), at // _DAY, plain(plan.about), severity in GRAVE, _cost(plan.captures)),
        )


def _left(db: sqlite3.Connection, plan: Plan, severity: Severity, at: int) -> tuple[int, str]:
    """How many captures are left, and the name of the budget that limits them."""
    is_grave = severity in GRAVE
    rows = db.execute(
        "SELECT about, reserved, captures FROM spent WHERE rule = ? AND day = ?",
        (plain(plan.rule), at // _DAY),
    ).fetchall()
    total = sum(captures for _, _, captures in rows)
    of_grave = sum(captures for _, reserved, captures in rows if reserved)
    here = sum(
        captures
        for about, reserved, captures in rows
        if about == plain(plan.about) and bool(reserved) == is_grave
    )
    whole = f"the daily budget of {plan.daily_budget} captures of rule {plan.rule!r}"
    left = [(plan.daily_budget - total, whole)]
    if not is_grave:
        kept = max(0, plan.reserved - of_grave)
        why = f"{whole}, of which {plan.reserved} are kept for critical and high alerts,"
        left.append((plan.daily_budget - total - kept, why if kept else whole))
    if plan.target_budget is not None:
        why = f"the daily budget of {plan.target_budget} captures for {plan.about} of rule {plan.rule!r}"
        left.append((plan.target_budget - here, why))
    least, name = min(left, key=_amount)
    return max(0, least), name


def _amount(left: tuple[int, str]) -> int:
    return left[0]
