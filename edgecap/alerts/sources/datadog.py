"""Datadog's webhooks integration. Its payload is written by hand; docs/alerts/datadog.md has one to paste.

Datadog's own default payload (`id`, `title`, `body`, `date`, `event_type`, `last_updated`, `org`) works too:
the transition is then read from the title, `[Triggered on ...]` or `[Recovered on ...]`, each event is an
alert of its own, and the title without that word joins them. Datadog authenticates with what is set for the
webhook: custom headers, here `Authorization`, or user and password in the URL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from edgecap.alerts.model import Alert, Event, derive
from edgecap.alerts.sources import label_names, signing, values
from edgecap.alerts.sources.base import AlertSource, never_pings
from edgecap.alerts.sources.fields import Fields
from edgecap.alerts.sources.payload import as_object, not_understood

NAME = "datadog"
_EVENTS: dict[str, Event] = {
    "triggered": "start",
    "re-triggered": "start",
    "warn": "start",
    "re-warn": "start",
    "renotify": "start",
    "recovered": "end",
    "no data": "other",
    "re-no data": "other",
}
_TITLE = re.compile(
    r"\s*\[(?P<word>Re-Triggered|Triggered|Recovered|Re-Warn|Warn|Re-No Data|No Data|Renotify)\b",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"\$[A-Z_]+(?:\[[^]]*])?")  # what Datadog leaves in place if it has no value


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> bool:  # noqa: ARG001 - all sources have it
    """A Bearer token in a custom header, or Basic with the secret as the password of the URL."""
    return signing.shared_secret(headers, secret)


def sign(body: bytes, secret: str) -> dict[str, str]:  # noqa: ARG001 - all sources have it
    """As Datadog does it: a Bearer token in a custom header."""
    return signing.bearer(secret)


def parse(payload: object, *, received: datetime) -> list[Alert]:
    """The one notification. A renotification is the same alert; `No Data` is `other`.

    Raises:
        AlertNotUnderstood: it is not an object, or has none of `title`, `alert_id`, `id`, `alert_cycle_key`.
    """
    raw = as_object(payload, NAME)
    notes: list[str] = []
    given = {name: value for name, value in raw.items() if not _unset(value)}
    whole = Fields(given, notes)
    title = whole.line("title", "alert_title", "event_title")
    if not title and not whole.line("alert_id", "id", "alert_cycle_key"):
        raise not_understood("the body has no title and no id", NAME)
    tags = {**label_names.from_tags(given.get("tags")), **label_names.from_tags(given.get("alert_scope"))}
    traffic = label_names.traffic(Fields({**tags, **given}, notes))
    if not traffic["targets"] and (target := values.address_in(title)):
        traffic["targets"] = (target,)
        notes.append(f"the target {target} was read from the title")
    event = _event(whole.line("alert_transition"), title)
    when = whole.moment("date", "last_updated")
    cycle = _cycle(whole, title)
    # A cycle begins once and ends once, however often Datadog reminds of it. Without its key, events count.
    once = "" if "alert_cycle_key" in whole else whole.line("id", "date", "last_updated")
    return [
        Alert(
            source=NAME,
            kind=whole.line("kind", "event_type") or "unknown",
            event=event,
            severity=values.severity(
                *(tags.get(word) for word in label_names.SEVERITIES),
                given.get("alert_priority"),
                given.get("alert_type"),
            ),
            identity=derive(NAME, cycle, event, once),
            incident=derive(NAME, cycle),
            received=received,
            started=when if event == "start" else None,
            ended=(when or received) if event == "end" else None,
            title=title,
            text=whole.text("body", "event_msg", "alert_status"),
            labels={**tags, **whole.labels()},
            notes=tuple(notes),
            raw=raw,
            **traffic,
        )
    ]


def _unset(value: Any) -> bool:
    return isinstance(value, str) and bool(_VARIABLE.fullmatch(value.strip()))


def _event(transition: str, title: str) -> Event:
    match = _TITLE.match(title)
    word = transition or (match["word"] if match else "triggered")
    return _EVENTS.get(word.lower(), "other")


def _cycle(whole: Fields, title: str) -> str:
    """What joins a trigger and its recovery: the cycle's key, else what the title says of the monitor."""
    key = whole.line("alert_cycle_key", "aggreg_key")
    return key or derive(whole.line("alert_id"), _TITLE.sub("[", title), whole.line("alert_scope"))


SOURCE = AlertSource(NAME, verify, sign, parse, never_pings)
