"""From the bytes of an alert to a plan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from edgecap.alerts.model import Alert
from edgecap.alerts.policy.decision import Plan, Policy, decide
from edgecap.alerts.sources.base import AlertSource
from edgecap.alerts.sources.payload import decode
from edgecap.requests import Bounds

_WHERE = ("targets", "target_port", "protocol", "source_addresses", "source_ports", "colos")


def _unknown(_key: str) -> Alert | None:
    return None


def understand(
    source: AlertSource,
    body: bytes,
    policy: Policy,
    *,
    received: datetime,
    now: datetime,
    bounds: Bounds,
    start_of: Callable[[str], Alert | None] = _unknown,
) -> list[tuple[Alert, Plan]]:
    """The alerts in a body, each with its plan; none for a ping.

    Args:
        source: the product that sent it.
        body: as it arrived.
        policy: the rules.
        received: when it arrived, aware.
        now: the time, aware; later than `received` if the alert had to wait.
        bounds: the API's limits.
        start_of: the start of an attack by its key, as far as it is known; an end may not name its target.

    Raises:
        AlertNotUnderstood: it is not what this source sends.
    """
    alerts = source.parse(decode(body, source.name), received=received)
    starts: dict[str, Alert] = {}
    taken = []
    for alert in alerts:
        if alert.event == "start":
            starts[alert.incident] = alert
        whole = _with_target(alert, starts.get(alert.incident) or start_of(alert.incident))
        taken.append((whole, decide(whole, policy, now=max(now, received), bounds=bounds)))
    return taken


def _with_target(alert: Alert, start: Alert | None) -> Alert:
    """An end without a target is about that of its start."""
    if alert.event != "end" or alert.targets or alert.source_addresses or start is None:
        return alert
    lacking = {name: getattr(start, name) for name in _WHERE if not getattr(alert, name)}
    return alert.model_copy(update=lacking)
