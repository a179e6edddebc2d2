"""From the bytes of an alert to a plan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import Protocol

from edgecap.alerts.model import Alert, derive, rank
from edgecap.alerts.policy.decision import Plan, Policy, decide
from edgecap.alerts.sources.base import AlertSource
from edgecap.alerts.sources.payload import decode
from edgecap.requests import Bounds

MOST_ALONE = 8
"""Targets of one notification that have an incident each. The others, the less telling ones, share one."""

_JOINS = 60  # seconds of cooldown for which alerts of one notification join, at least
_BITS_OF_A_PACKET = 8 * 500  # to compare rates of packets with rates of bits
_WHERE = ("targets", "target_port", "protocol", "source_addresses", "source_ports", "colos")


class Known(Protocol):
    """What is known of earlier alerts: `AlertInbox`."""

    def start_of(self, end: Alert) -> Alert | None:
        """The start of the attack that an end is about, if it led to an incident."""

    def knows(self, end: Alert) -> bool:
        """Whether the attack that an end is about has an incident."""

    def heard(self, alert: Alert) -> bool:
        """Whether this same alert came before, and led to an incident."""


def understand(
    source: AlertSource,
    body: bytes,
    policy: Policy,
    *,
    received: datetime,
    now: datetime,
    bounds: Bounds,
    known: Known | None = None,
) -> list[tuple[Alert, Plan]]:
    """The alerts in a body, each with its plan; none for a ping.

    If a notification names very many targets, the most telling alerts come first, and the others are captured
    together: an account may take one simple capture a minute.

    An end whose start never came is both, if it tells when the attack began, and packets from then are kept.

    Args:
        source: the product that sent it.
        body: as it arrived.
        policy: the rules.
        received: when it arrived, aware.
        now: the time, aware; later than `received` if the alert had to wait.
        bounds: the API's limits.
        known: earlier alerts. Without them, an end is what it says, and its start may be known elsewhere.

    Raises:
        AlertNotUnderstood: it is not what this source sends.
    """
    due = max(now, received)

    def decided(alert: Alert) -> tuple[Alert, Plan]:
        return alert, decide(alert, policy, now=due, bounds=bounds)

    def wanted(start: Alert) -> bool:
        return bool(decided(start)[1].captures)

    starts: dict[str, Alert] = {}  # by their key, and by what they are about
    alerts = []
    for alert in source.parse(decode(body, source.name), received=received):
        keys = [key for key in (alert.incident, alert.thing) if key]
        if alert.event == "start":
            starts |= dict.fromkeys(keys, alert)
        elif alert.event == "end" and not alert.targets and not alert.source_addresses:
            told = next((starts[key] for key in keys if key in starts), None)
            told = told or (known.start_of(alert) if known else None)
            alert = _with_target(alert, told)  # noqa: PLW2901 - the same, completed
        if alert.event == "end" and known and not any(key in starts for key in keys):
            alerts += [start for start in _start_told_by(alert) if not known.knows(alert) and wanted(start)]
        alerts.append(alert)
    if known:
        over = {alert.incident for alert in alerts if alert.event == "end"}
        alerts = [each for each in alerts if not _is_told_again(each, over, known)]

    begun = [alert for alert in alerts if alert.event == "start" and alert.targets]
    if len({alert.targets for alert in begun}) <= MOST_ALONE:
        return [decided(alert) for alert in alerts]
    begun.sort(key=_telling)
    alone = begun[:MOST_ALONE]
    others = [alert for alert in alerts if alert.event != "start" or not alert.targets]
    return [*map(decided, alone), *_together(begun[MOST_ALONE:], decided), *map(decided, others)]


def _is_told_again(alert: Alert, over: Collection[str], known: Known) -> bool:
    """Whether it is a start that is known, and is here only because its end says when it began.

    Nobody sent it again.
    """
    return alert.event == "start" and alert.incident in over and known.heard(alert)


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


def _start_told_by(end: Alert) -> Iterator[Alert]:
    """The start that an end tells of: none without a time before the end."""
    if end.started and end.started < (end.ended or end.received):
        identity = derive(end.incident, end.identity, "start")
        yield end.model_copy(update={"event": "start", "identity": identity})


def _with_target(alert: Alert, start: Alert | None) -> Alert:
    """An end without a target is about that of its start."""
    if start is None:
        return alert
    lacking = {name: getattr(start, name) for name in _WHERE if not getattr(alert, name)}
    return alert.model_copy(update=lacking)
