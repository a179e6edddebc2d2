"""From the bytes of an alert to a plan."""

from __future__ import annotations

from datetime import datetime

from edgecap.alerts.model import Alert
from edgecap.alerts.policy.decision import Plan, Policy, decide
from edgecap.alerts.sources.base import AlertSource
from edgecap.alerts.sources.payload import decode
from edgecap.requests import Bounds


def understand(
    source: AlertSource, body: bytes, policy: Policy, *, received: datetime, now: datetime, bounds: Bounds
) -> list[tuple[Alert, Plan]]:
    """The alerts in a body, each with its plan; none for a ping.

    Args:
        source: the product that sent it.
        body: as it arrived.
        policy: the rules.
        received: when it arrived, aware.
        now: the time, aware; later than `received` if the alert had to wait.
        bounds: the API's limits.

    Raises:
        AlertNotUnderstood: it is not what this source sends.
    """
    alerts = source.parse(decode(body, source.name), received=received)
    return [(alert, decide(alert, policy, now=max(now, received), bounds=bounds)) for alert in alerts]
