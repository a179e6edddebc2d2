"""Any JSON, with a mapping from its fields to ours: for products without a parser of their own.

The mapping is a table of the settings; every entry is a JSON pointer into the payload, and has a default, so
that a product whose payload can be written by hand needs none. Example::

    [alerts.generic]
    alerts = "/events"                # a list; without it the payload is one alert
    kind = "/rule/name"
    event = "/state"
    start_words = ["OPEN"]            # what `event` holds when it began, in any case
    end_words = ["CLOSED"]
    id = "/event_id"                  # the same for the same alert
    incident = "/attack/id"           # the same for the start and the end of an attack
    target = "/attack/victim"
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from edgecap.alerts.model import Alert, Event, derive
from edgecap.alerts.sources import signing, values
from edgecap.alerts.sources.base import AlertSource, never_pings
from edgecap.alerts.sources.fields import Fields
from edgecap.alerts.sources.payload import as_object, list_of_objects, not_understood
from edgecap.settings.alerts import GenericMapping
from edgecap.settings.pointer import look_up

NAME = "generic"
_KEYS = ("kind", "id", "incident", "target", "source", "title")  # an alert has at least one of them


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> bool:  # noqa: ARG001 - all sources have it
    """A Bearer token, or Basic with the secret as password."""
    return signing.shared_secret(headers, secret)


def sign(body: bytes, secret: str) -> dict[str, str]:  # noqa: ARG001 - all sources have it
    """As most senders do it: a Bearer token."""
    return signing.bearer(secret)


def generic_source(mapping: GenericMapping | None = None) -> AlertSource:
    """The source `generic` for a mapping of the settings; without one, for the default fields."""
    chosen = mapping or GenericMapping()

    def parse(payload: object, *, received: datetime) -> list[Alert]:
        return parse_with(chosen, payload, received=received)

    return AlertSource(NAME, verify, sign, parse, never_pings)


def parse_with(mapping: GenericMapping, payload: object, *, received: datetime) -> list[Alert]:
    """The alerts that `mapping` finds in a payload.

    Raises:
        AlertNotUnderstood: it is not an object, has no list where `alerts` points, or an alert has none
            of `kind`, `id`, `incident`, `target`, `source` and `title`.
    """
    raw = as_object(payload, NAME)
    if mapping.alerts is None:
        return [_alert(mapping, raw, received)]
    items = list_of_objects({mapping.alerts: look_up(raw, mapping.alerts)}, mapping.alerts, NAME)
    return [_alert(mapping, item, received) for item in items]


def _alert(mapping: GenericMapping, raw: dict[str, Any], received: datetime) -> Alert:
    notes: list[str] = []
    pointers = {name: value for name, value in mapping if name != "alerts" and isinstance(value, str)}
    fields = Fields({name: look_up(raw, pointer) for name, pointer in pointers.items()}, notes)
    if not any(name in fields for name in _KEYS):
        missing = ", ".join(pointers[name] for name in _KEYS)
        raise not_understood(f"the payload has none of {missing}", NAME)
    kind = fields.line("kind") or "unknown"
    event = _event(mapping, fields)
    targets, beside = fields.addresses("target")
    sources, _ = fields.addresses("source")
    started = fields.moment("started")
    told = (kind, ",".join(targets), ",".join(sources), started.isoformat() if started else "")
    # Most products keep an alert's id from its start to its end, so it joins them if there is no better key.
    alert_id, attack = fields.line("id"), fields.line("incident")
    same = (alert_id,) if alert_id else (attack, *told)
    joins = (attack,) if attack else (alert_id,) if alert_id else told
    return Alert(
        source=NAME,
        kind=kind,
        event=event,
        severity=values.severity(fields.get("severity")),
        identity=derive(NAME, *same, event),
        incident=derive(NAME, *joins),
        received=received,
        started=started,
        ended=(fields.moment("ended") or received) if event == "end" else None,
        targets=targets,
        target_port=fields.port("target_port") or beside,
        protocol=fields.protocol("protocol"),
        source_addresses=sources,
        source_ports=fields.ports("source_port"),
        colos=fields.colos("colos"),
        pps=fields.rate("pps", "pps"),
        bps=fields.rate("bps", "bps"),
        title=fields.line("title") or kind,
        text=fields.text("text"),
        labels=fields.inner("labels").labels(),
        notes=tuple(notes),
        raw=raw,
    )


def _event(mapping: GenericMapping, fields: Fields) -> Event:
    word = fields.line("event").lower()
    if not word or word in (each.lower() for each in mapping.start_words):
        return "start"
    return "end" if word in (each.lower() for each in mapping.end_words) else "other"


SOURCE = generic_source()
