"""Prometheus Alertmanager's webhook, version 4: a list of alerts, each of which stands by itself.

Alertmanager authenticates with what its `http_config` says: `authorization` (Bearer) or `basic_auth`. It
has no message for trying a webhook. Which labels are looked at is in `edgecap.alerts.sources.label_names`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from edgecap.alerts.model import Alert, Event, derive
from edgecap.alerts.sources import label_names, signing, titles, values
from edgecap.alerts.sources.base import AlertSource, never_pings
from edgecap.alerts.sources.fields import Fields
from edgecap.alerts.sources.order import in_order
from edgecap.alerts.sources.payload import as_object, as_objects, list_of_objects
from edgecap.units import plural

NAME = "alertmanager"
_BEGAN = ("firing", "active", "unprocessed", "")
_WITHOUT_DATA = ("DatasourceNoData", "DatasourceError")  # Grafana's own: the query failed, or found nothing


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> bool:  # noqa: ARG001 - all sources have it
    """A Bearer token, or Basic with the secret as password."""
    return signing.shared_secret(headers, secret)


def sign(body: bytes, secret: str) -> dict[str, str]:  # noqa: ARG001 - all sources have it
    """As Alertmanager does it: a Bearer token."""
    return signing.bearer(secret)


def parse(payload: object, *, received: datetime, own_names: Sequence[str] = ()) -> list[Alert]:
    """The alerts of a notification; those that are resolved are `end`.

    A list is what Alertmanager's API answers with: groups of alerts, or alerts.

    Raises:
        AlertNotUnderstood: it is not an object, or has no list of alerts.
    """
    if not isinstance(payload, list):
        return parse_group(NAME, as_object(payload, NAME), received=received, own_names=own_names)
    items = as_objects(payload, NAME)
    groups = [each for each in items if "alerts" in each]
    if alone := [each for each in items if "alerts" not in each]:
        groups.append({"alerts": alone})
    return [
        alert
        for group in groups
        for alert in parse_group(NAME, group, received=received, own_names=own_names)
    ]


def parse_group(
    name: str, raw: dict[str, Any], *, received: datetime, own_names: Sequence[str] = ()
) -> list[Alert]:
    """The alerts of a group in Alertmanager's form, which Grafana sends as well, by time.

    Args:
        name: the source's name.
        raw: the payload, made safe.
        received: when it reached us.
        own_names: labels with the target that the settings add.
    """
    items = list_of_objects(raw, "alerts", name)
    return in_order([_alert(name, raw, item, received, own_names) for item in items])


def _alert(
    name: str, group: dict[str, Any], item: dict[str, Any], received: datetime, own_names: Sequence[str]
) -> Alert:
    notes: list[str] = []
    cut_off = _count(group.get("truncatedAlerts"))
    if cut_off:
        more = plural(cut_off, "more alert")
        notes.append(f"the notification left {more} out (truncatedAlerts): set max_alerts to 0 at the sender")
    alert = Fields(item, notes)
    labels, annotations = alert.inner("labels"), alert.inner("annotations")
    known = {**annotations.labels(), **labels.labels()}
    traffic = label_names.traffic(known, notes, "labels.", own_names=own_names)
    title = annotations.line("summary", "title")
    if not traffic["targets"]:
        traffic["targets"], in_title = titles.target_in(title, notes)
        traffic["local_targets"] = () if traffic["targets"] else traffic["local_targets"] or in_title
    kind = labels.line("alertname") or "unknown"
    started, ended = alert.moment("startsAt"), alert.moment("endsAt")
    status = _state(item.get("status")) or _state(group.get("status"))
    is_over = ended is not None and ended <= received
    event = "other" if kind in _WITHOUT_DATA else _event(status or ("resolved" if is_over else ""))
    # A fingerprint is a hash of the labels, so it comes again with the next outage; its start does not. But
    # Grafana 12 may send the end with another start: then only the fingerprint tells what has ended.
    fingerprint = alert.line("fingerprint") or derive(
        *(f"{key}={known[key]}" for key in sorted(labels.labels()))
    )
    occurrence = (name, fingerprint, started.isoformat() if started else "")
    return Alert(
        source=name,
        kind=kind,
        event=event,
        severity=values.severity(*label_names.severity_words(known)),
        identity=derive(*occurrence, event),
        incident=derive(*occurrence),
        thing=derive(name, fingerprint),
        received=received,
        started=started,
        ended=(ended or received) if event == "end" else None,
        title=title or values.line(group.get("title")) or kind,
        text=annotations.text("description", "message"),
        left_out=cut_off,
        labels={**known, **alert.labels("generatorURL", "silenceURL", "dashboardURL", "panelURL")},
        notes=tuple(notes),
        raw={**{key: value for key, value in group.items() if key != "alerts"}, "alerts": [item]},
        **traffic,
    )


def _count(value: object) -> int:
    found = values.number(value)
    return int(found) if found is not None and found > 0 else 0


def _state(status: object) -> str:
    """`firing` or `resolved`; of the API, the `state` of an object: active, suppressed or unprocessed."""
    return values.line(status.get("state") if isinstance(status, dict) else status).lower()


def _event(status: str) -> Event:
    return "end" if status == "resolved" else "start" if status in _BEGAN else "other"


SOURCE = AlertSource(NAME, verify, sign, parse, never_pings)
