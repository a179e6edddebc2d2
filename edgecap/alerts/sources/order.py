"""The order in which the alerts of one message count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Any

from edgecap.alerts.model import Alert


def in_order(alerts: Sequence[Alert]) -> list[Alert]:
    """The alerts of a message, with those about one target by time, and each start before its own end.

    Products list alerts by name or by state. All others keep their places.
    """
    by_time = _sorted_within(alerts, lambda alert: alert.targets or alert.incident, _time)
    return _sorted_within(by_time, lambda alert: alert.incident, lambda alert: alert.event == "end")


def _sorted_within(
    alerts: Sequence[Alert], group: Callable[[Alert], Hashable], key: Callable[[Alert], Any]
) -> list[Alert]:
    """Each group of alerts sorted, within the places that the group has."""
    places: dict[Hashable, list[int]] = defaultdict(list)
    for place, alert in enumerate(alerts):
        places[group(alert)].append(place)
    found = list(alerts)
    for taken in places.values():
        for place, alert in zip(taken, sorted((alerts[each] for each in taken), key=key), strict=True):
            found[place] = alert
    return found


def _time(alert: Alert) -> datetime:
    return (alert.ended if alert.event == "end" else alert.started) or alert.received
