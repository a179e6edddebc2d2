"""PagerDuty's v3 webhooks: one event each, signed with HMAC-SHA256 in `X-PagerDuty-Signature`.

The header holds one or more `v1=<hex>` parted by commas, of which one must fit: that is how a secret is
changed without a gap. Events are about incidents, which name no addresses, so that the target is the one
address in the incident's title, if there is exactly one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from edgecap.alerts.model import Alert, Event, derive
from edgecap.alerts.sources import signing, titles, values
from edgecap.alerts.sources.base import AlertSource
from edgecap.alerts.sources.fields import Fields
from edgecap.alerts.sources.payload import as_object, not_understood

NAME = "pagerduty"
SIGNATURE = "X-PagerDuty-Signature"
PING = "pagey.ping"
_EVENTS: dict[str, Event] = {
    "incident.triggered": "start",
    "incident.reopened": "start",
    "incident.priority_updated": "start",  # more severe, it escalates; less so, it only joins
    "incident.resolved": "end",
}


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """One of the signatures of version 1 is that of `body` under `secret`; all of them are compared."""
    expected = signing.hmac_sha256(body, secret)
    given = [part.strip() for part in signing.header(headers, SIGNATURE).split(",")]
    fits = [
        signing.same(part.removeprefix("v1=").lower(), expected) for part in given if part.startswith("v1=")
    ]
    return bool(secret) and any(fits)


def sign(body: bytes, secret: str) -> dict[str, str]:
    """One signature of version 1, as PagerDuty sends while no secret is being replaced."""
    return {SIGNATURE: f"v1={signing.hmac_sha256(body, secret)}"}


def is_ping(payload: object) -> bool:
    """A webhook subscription's "Send test event"."""
    event = payload.get("event") if isinstance(payload, dict) else None
    return isinstance(event, dict) and event.get("event_type") == PING


def parse(payload: object, *, received: datetime) -> list[Alert]:
    """The one event. Triggered, reopened and a new priority are `start`, resolved is `end`, others `other`.

    Raises:
        AlertNotUnderstood: it has no `event` with an `event_type`.
    """
    if is_ping(payload):
        return []
    raw = as_object(payload, NAME)
    notes: list[str] = []
    about = Fields(raw, notes).inner("event")
    data = about.inner("data")
    event_type = about.line("event_type")
    if not event_type:
        old = ": it is a webhook of version 1 or 2, and edgecap reads version 3" if "messages" in raw else ""
        raise not_understood(f"the body has no event with an event_type{old}", NAME)
    event = _EVENTS.get(event_type, "other")
    if event_type == "incident.priority_updated" and data.line("status") == "resolved":
        event = "other"
    # Events about a part of an incident, such as a note, have the incident inside.
    incident = data.line("id") if data.line("type") == "incident" else data.inner("incident").line("id")
    occurred = about.moment("occurred_at")
    title = data.line("title", "summary") or event_type
    targets, local_targets = titles.target_in(title, notes)
    unique = about.line("id") or f"{event_type} {about.line('occurred_at')}"
    return [
        Alert(
            source=NAME,
            kind=data.inner("service").line("summary") or event_type,
            event=event,
            severity=values.severity(data.inner("priority").line("summary"), data.line("urgency")),
            identity=derive(NAME, incident, unique),
            incident=derive(NAME, incident or data.line("id") or unique),
            received=received,
            started=occurred if event_type == "incident.reopened" else data.moment("created_at"),
            ended=(occurred or received) if event == "end" else None,
            targets=targets,
            local_targets=local_targets,
            title=title,
            labels={"event_type": event_type, **data.labels()},
            notes=tuple(notes),
            raw=raw,
        )
    ]


SOURCE = AlertSource(NAME, verify, sign, parse, is_ping, signature=SIGNATURE)
