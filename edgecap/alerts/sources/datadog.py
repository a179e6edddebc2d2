"""Datadog's webhooks integration. Its payload is written by hand; docs/alerts/datadog.md has one to paste.

Datadog's own default payload (`id`, `title`, `body`, `date`, `event_type`, `last_updated`, `org`) works too.
Its title then tells all: the monitor's priority, the transition, the group of a multi alert, and the
monitor's name; a text before them changes nothing::

    [P2] [Triggered on {target:203.0.113.7,proto:udp}] Packets are high
    P2 Triggered: Packets are high

Each event of it is an alert of its own; the group and the monitor's name join them. Datadog authenticates
with what is set for the webhook: custom headers, here `Authorization`, or user and password in the URL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from edgecap.alerts.model import Alert, Event, Severity, derive, rank
from edgecap.alerts.sources import label_names, signing, titles, values
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
    "no data": "other",
    "re-no data": "other",
}
_WARNINGS = ("warn", "re-warn")
_ALARMS = ("triggered", "re-triggered", "renotify")
_WORD = r"(?P<word>Re-Triggered|Triggered|Recovered|Re-Warn|Warn|Re-No Data|No Data|Re-?notify)\b"
_TITLE = re.compile(rf"(?P<before>.*?)\[{_WORD}(?P<on>[^\]]*)]?\s*(?P<name>.*)", re.IGNORECASE)
_SENTENCE = re.compile(rf"(?P<before>.*?)\b{_WORD}(?P<on>)\s*:\s*(?P<name>.*)", re.IGNORECASE)
_PRIORITY = re.compile(r"\bP([1-5])\b", re.IGNORECASE)
_WARNING: Severity = "medium"
_GROUP = re.compile(r"[{(](?P<tags>.*)[)}]")
_TITLES = ("title", "event_title", "alert_title")
_TRANSITIONS = ("alert_transition", "transition", "alerttransition")
_VARIABLE = re.compile(r"\$[A-Z_]+(?:\[[^]]*])?")  # what Datadog leaves in place if it has no value


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> bool:  # noqa: ARG001 - all sources have it
    """A Bearer token in a custom header, or Basic with the secret as the password of the URL."""
    return signing.shared_secret(headers, secret)


def sign(body: bytes, secret: str) -> dict[str, str]:  # noqa: ARG001 - all sources have it
    """As Datadog does it: a Bearer token in a custom header."""
    return signing.bearer(secret)


@dataclass(frozen=True, slots=True)
class _Title:
    """What a title says.

    Attributes:
        text: all of it.
        word: the transition, in lower case; empty if it names none.
        priority: such as P2; empty if it names none.
        on: the group of a multi alert, as it is written; empty if there is none.
        group: the group's tags, by name.
        name: the monitor's.
    """

    text: str
    word: str = ""
    priority: str = ""
    on: str = ""
    group: Mapping[str, str] = field(default_factory=dict)
    name: str = ""


def parse(payload: object, *, received: datetime, own_names: Sequence[str] = ()) -> list[Alert]:
    """The one notification. A renotification is the same alert; `No Data` is `other`.

    Raises:
        AlertNotUnderstood: it is not an object, or has none of `title`, `alert_id`, `id`, `alert_cycle_key`.
    """
    raw = as_object(payload, NAME)
    notes: list[str] = []
    given = {name: value for name, value in raw.items() if not _unset(value)}
    whole = Fields(given, notes)
    title = _title(whole)
    if not title.text and not whole.line("alert_id", "id", "alert_cycle_key"):
        raise not_understood("the body has no title and no id", NAME)
    tags = {
        **title.group,
        **label_names.from_tags(given.get("tags")),
        **label_names.from_tags(given.get("alert_scope")),
    }
    traffic = label_names.traffic({**tags, **given}, notes, own_names=own_names)
    if not traffic["targets"]:
        traffic["targets"], local = titles.target_in(title.text, notes)
        traffic["local_targets"] = traffic["local_targets"] or local
    word = whole.line(*_TRANSITIONS).lower() or title.word
    event = _event(word, whole.line("alert_type"))
    when = whole.moment("date", "last_updated")
    cycle = _cycle(whole, title)
    where = whole.line("alert_scope") or title.on or ",".join(traffic["targets"])
    # A cycle begins once and ends once, however often Datadog reminds of it, but a warning can become an
    # alert. Without its key, events count.
    level = "warn" if word in _WARNINGS else ""
    severity = values.severity(
        *label_names.severity_words(tags),
        given.get("alert_priority"),
        title.priority,
        given.get("alert_type"),
        level,
        "error" if word in _ALARMS else "",
    )
    if level and rank(severity) > rank(_WARNING):  # a priority is the monitor's, whether it warns or alerts
        severity = _WARNING
    once = "" if "alert_cycle_key" in whole else whole.line("id", "event_id", "date", "last_updated")
    return [
        Alert(
            source=NAME,
            kind=whole.line("kind", "event_type") or "unknown",
            event=event,
            severity=severity,
            identity=derive(NAME, cycle, event, level, once),
            incident=derive(NAME, cycle),
            # A monitor's name may hold a value, such as {{value}}: then only the group tells what has ended.
            thing=derive(NAME, whole.line("alert_id"), where) if where else "",
            received=received,
            started=when if event == "start" else None,
            ended=(when or received) if event == "end" else None,
            title=title.text,
            text=whole.text("body", "event_msg", "alert_status"),
            labels={**tags, **whole.labels()},
            notes=tuple(notes),
            raw=raw,
            **traffic,
        )
    ]


def _unset(value: Any) -> bool:
    return isinstance(value, str) and bool(_VARIABLE.fullmatch(value.strip()))


def _title(whole: Fields) -> _Title:
    """The first title that names a transition, else the first one."""
    for name in _TITLES:
        text = whole.line(name)
        if match := _TITLE.fullmatch(text) or _SENTENCE.fullmatch(text):
            group = _GROUP.search(match["on"])
            priority = _PRIORITY.search(match["before"])
            return _Title(
                text,
                word=" ".join(match["word"].lower().replace("re-notify", "renotify").split()),
                priority=f"P{priority[1]}" if priority else "",
                on=match["on"].strip(),
                group=label_names.from_tags(group["tags"] if group else ""),
                name=match["name"],
            )
    text = whole.line(*_TITLES)
    return _Title(text, name=text)


def _event(word: str, alert_type: str) -> Event:
    """By the transition; without one, by the type, of which `success` is a recovery."""
    if word.startswith("recovered"):
        return "end"  # also "Recovered from No Data"
    if word:
        return _EVENTS.get(word, "other")
    return "end" if alert_type.lower() == "success" else "start"


def _cycle(whole: Fields, title: _Title) -> str:
    """What joins a trigger and its recovery: the cycle's key, else the monitor and its group."""
    key = whole.line("alert_cycle_key", "aggreg_key")
    tags = ",".join(f"{name}:{value}" for name, value in sorted(title.group.items()))
    return key or derive(whole.line("alert_id"), tags or title.on, title.name, whole.line("alert_scope"))


SOURCE = AlertSource(NAME, verify, sign, parse, never_pings)
