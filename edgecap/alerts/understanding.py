"""From the bytes of an alert to a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from edgecap.alerts.model import Alert, rank
from edgecap.alerts.policy.decision import Plan, Policy, decide
from edgecap.alerts.sources.base import AlertSource
from edgecap.alerts.sources.payload import decode
from edgecap.requests import Bounds

MOST_ALONE = 8
"""Targets of one notification that have an incident each. The others, the less telling ones, share one."""

_JOINS = 60  # seconds of cooldown for which alerts of one notification join, at least
_BITS_OF_A_PACKET = 8 * 500  # to compare rates of packets with rates of bits
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

    If a notification names very many targets, the most telling alerts come first, and the others are captured
    together: an account may take one simple capture a minute.

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
    starts: dict[str, Alert] = {}
    alerts = []
    for alert in source.parse(decode(body, source.name), received=received):
        if alert.event == "start":
            starts[alert.incident] = alert
        elif alert.event == "end" and not alert.targets and not alert.source_addresses:
            alert = _with_target(alert, starts.get(alert.incident) or start_of(alert.incident))  # noqa: PLW2901 - the same, completed
        alerts.append(alert)
    due = max(now, received)

    def decided(alert: Alert) -> tuple[Alert, Plan]:
        return alert, decide(alert, policy, now=due, bounds=bounds)

    begun = [alert for alert in alerts if alert.event == "start" and alert.targets]
    if len({alert.targets for alert in begun}) <= MOST_ALONE:
        return [decided(alert) for alert in alerts]
    begun.sort(key=_telling)
    alone = begun[:MOST_ALONE]
    others = [alert for alert in alerts if alert.event != "start" or not alert.targets]
    return [*map(decided, alone), *_together(begun[MOST_ALONE:], decided), *map(decided, others)]


def _telling(alert: Alert) -> tuple[int, bool, float]:
    """The most telling first: the gravest, those that name a data centre, those with the highest rate."""
    return -rank(alert.severity), not alert.colos, -(alert.pps or (alert.bps or 0) / _BITS_OF_A_PACKET)


def _together(
    alerts: Sequence[Alert], decided: Callable[[Alert], tuple[Alert, Plan]]
) -> Iterator[tuple[Alert, Plan]]:
    """Alerts that are one incident, with captures of all their targets."""
    targets = tuple(dict.fromkeys(target for alert in alerts for target in alert.targets))
    same = {name: {getattr(alert, name) for alert in alerts} for name in ("target_port", "protocol")}
    whole = alerts[0].model_copy(
        update={
            "targets": targets,
            "colos": tuple(dict.fromkeys(colo for alert in alerts for colo in alert.colos)),
            "started": min((alert.started for alert in alerts if alert.started), default=None),
            **{name: found.pop() if len(found) == 1 else None for name, found in same.items()},
        }
    )
    first, plan = decided(whole)
    said = f"{len(targets)} of the targets of one notification, captured together"
    plan = plan.model_copy(
        update={
            "about": f"{said}: {targets[0]} to {targets[-1]}",
            "cooldown": max(plan.cooldown, _JOINS),
            "remarks": (*plan.remarks, said),
        }
    )
    yield first, plan
    for alert in alerts[1:]:
        yield alert, plan.model_copy(update={"identity": alert.identity, "incident": alert.incident})


def _with_target(alert: Alert, start: Alert | None) -> Alert:
    """An end without a target is about that of its start."""
    if start is None:
        return alert
    lacking = {name: getattr(start, name) for name in _WHERE if not getattr(alert, name)}
    return alert.model_copy(update=lacking)
