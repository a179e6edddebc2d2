"""Which incident an alert belongs to, where no receiver keeps an inbox: the archive alone decides.

An incident's id is derived from the key that its start and its end share, and a number: 0 for the first
incident with this key, 1 for the second, since the same target may be attacked again. Records are
create-only, so a run that is started again, or twice at once, finds the same incident. The cooldown between
different attacks, the daily budget and the counts of alerts that joined need the inbox, and are missing here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from edgecap.alerts.model import Alert, derive, summary_of
from edgecap.alerts.policy.decision import Plan
from edgecap.incidents.afterwards import comparable
from edgecap.incidents.columns import LAPSES
from edgecap.incidents.inbox.rows import Outcome
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.record import IncidentEvent


@dataclass(frozen=True, slots=True)
class Entered:
    """What an alert did.

    Attributes:
        outcome: never `over_budget`.
        noted: what its incident's start, or end, led to; None if there is nothing to run.
    """

    outcome: Outcome
    noted: IncidentEvent | None = None

    def __str__(self) -> str:
        """Such as `opened incident 1f0c22ab`, or `nothing`."""
        return f"{self.outcome} incident {self.noted.incident[:8]}" if self.noted else str(self.outcome)


def enter(incidents: Incidents, alert: Alert, plan: Plan, *, account: str, at: datetime) -> Entered:
    """Find the alert's incident, and record its start or end if that is new.

    Args:
        incidents: the archive's.
        alert: what arrived.
        plan: what was decided about it.
        account: name of the account that captures are taken with.
        at: now, aware.

    Raises:
        StoreError: the archive cannot be read or written.
    """
    if alert.event == "other":
        return Entered(Outcome.NOTHING)
    number = first_true(lambda each: not _is_over(incidents, _id(alert, each)))
    if number and (before := _same(incidents, alert, _id(alert, number - 1))):
        return Entered(Outcome.REPEATED, before)
    noted = IncidentEvent(
        incident=_id(alert, number), alert=summary_of(alert), plan=plan, account=account, at=at
    )
    opened = incidents.opened(noted.incident)
    if alert.event == "end" and opened:
        noted = noted.model_copy(update={"plan": comparable(plan, [opened.plan])})
        return Entered(Outcome.ENDED, incidents.end(noted))
    if opened and alert.event == "start":
        same = opened.alert.get("identity") == alert.identity
        return Entered(Outcome.REPEATED if same else Outcome.JOINED, opened)
    if alert.event == "end" or (
        plan.filter is None and not plan.captures
    ):  # no captures, neither now nor at the end
        return Entered(Outcome.NOTHING)
    return Entered(Outcome.OPENED, incidents.open(noted))


def _id(alert: Alert, number: int) -> str:
    return derive(alert.incident, str(number))


def _is_over(incidents: Incidents, incident: str) -> bool:
    return incidents.ended(incident) is not None or incidents.closed(incident) is not None


def _same(incidents: Incidents, alert: Alert, incident: str) -> IncidentEvent | None:
    """The event that this same alert recorded before, in an incident that is over."""
    noted = incidents.ended(incident) if alert.event == "end" else incidents.opened(incident)
    if noted is None or noted.alert.get("identity") != alert.identity:
        return None
    return noted if alert.received - noted.at <= LAPSES else None


def first_true(true: Callable[[int], bool]) -> int:
    """The first number from 0 for which it is true, found by bisection: it stays true for later ones."""
    if true(0):
        return 0
    false, step = 0, 1
    while not true(false + step):
        false, step = false + step, step * 2
    right = false + step
    while right - false > 1:
        middle = (false + right) // 2
        false, right = (false, middle) if true(middle) else (middle, right)
    return right
