"""Cloudflare Notifications: the generic webhook. The secret comes verbatim in the header `cf-webhook-auth`.

`account_id`, `policy_id`, `alert_type`, `alert_correlation_id` and `alert_event` may each be absent; rates
are numbers or text in any unit; `target_ip` may carry `/32`, `target_port` be 0. "Save and test" sends only
`{"text": ...}`.

`fbm_auto_advertisement` tells that Magic Transit On Demand began to announce prefixes. It is a start whose
targets are these prefixes. Alerts about HTTP (`dos_attack_l7`) name a host in place of an address.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from edgecap.alerts.model import Alert, Event, derive
from edgecap.alerts.sources import signing, values
from edgecap.alerts.sources.base import AlertSource
from edgecap.alerts.sources.fields import MOST_ADDRESSES, Fields
from edgecap.alerts.sources.payload import as_object, not_understood

NAME = "cloudflare"
_TUNNEL_WELL = ("HEALTHY", "UP")  # how `new_status` ends: MAGIC_TUNNEL_STATUS_UP, TUNNEL_STATUS_TYPE_HEALTHY
_TUNNEL_ILL = ("DOWN", "DEGRADED", "UNHEALTHY", "INACTIVE")
_ANNOUNCEMENT = "fbm_auto_advertisement"
_ANNOUNCED = ("advertised", "already advertised", "success", "active")
_MEGA = 1e6


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> bool:  # noqa: ARG001 - all sources have it
    """The header `cf-webhook-auth` holds the secret of the webhook."""
    return signing.same(signing.header(headers, "cf-webhook-auth"), secret)


def sign(body: bytes, secret: str) -> dict[str, str]:  # noqa: ARG001 - all sources have it
    """The secret itself, in Cloudflare's own header."""
    return {"cf-webhook-auth": secret}


def is_ping(payload: object) -> bool:
    """A webhook's "Save and test": text, and nothing that a notification has."""
    return (
        isinstance(payload, dict) and "text" in payload and not {"data", "alert_type", "name"} & set(payload)
    )


def parse(payload: object, *, received: datetime) -> list[Alert]:
    """The one alert of a notification.

    Raises:
        AlertNotUnderstood: it is not an object, or has neither `alert_type` nor `data`.
    """
    if is_ping(payload):
        return []
    raw = as_object(payload, NAME)
    notes: list[str] = []
    whole = Fields(raw, notes)
    data = whole.inner("data")
    kind = whole.line("alert_type")
    if not kind and "data" not in whole:
        raise not_understood("the body has neither alert_type nor data", NAME)
    announced = _announced(data)
    event = _event(whole, data)
    started = data.moment("start_time", "started_at", "event_ts") or whole.moment("ts")
    targets, beside = data.addresses("target_ip")
    if kind == _ANNOUNCEMENT:
        targets = targets or announced
        event = event if announced or event != "start" else "other"
    identity, incident, thing = _keys(whole, data, kind, event, targets)
    return [
        Alert(
            source=NAME,
            kind=kind or "unknown",
            event=event,
            severity=values.severity(data.get("severity"), whole.get("severity")),
            identity=identity,
            incident=incident,
            thing=thing,
            received=received,
            started=started,
            ended=(data.moment("end_time", "ended_at", "event_ts") or whole.moment("ts") or received)
            if event == "end"
            else None,
            targets=targets,
            announced=announced,
            target_port=data.port("target_port") or beside,
            protocol=data.protocol("protocol"),
            source_addresses=data.addresses("source_ip")[0],
            source_ports=data.ports("source_port"),
            colos=data.colos("pop_names", "colo_names", "colo"),
            pps=data.rate("pps", "packets_per_second", "packets_per_second_string", "max_rate"),
            bps=_bits(data),
            title=whole.line("name", "policy_name") or kind,
            text=whole.text("text"),
            labels={**data.labels(), **whole.labels("account_id", "policy_id", "policy_name")},
            notes=tuple(notes),
            raw=raw,
        )
    ]


def _announced(data: Fields) -> tuple[str, ...]:
    """The prefixes that are announced now; those that wait for it or failed are none."""
    states = data.get("advertise_status")
    return tuple(
        dict.fromkeys(
            prefix[0]
            for each in (states if isinstance(states, list) else ())[:MOST_ADDRESSES]
            if isinstance(each, dict)
            and values.line(each.get("status")).lower() in _ANNOUNCED
            and (prefix := values.address(each.get("prefix")))
        )
    )


def _bits(data: Fields) -> float | None:
    """`max_rate` without a unit counts packets, so it says nothing here."""
    bits = data.rate("bps", "megabits_per_second", factor=_MEGA)
    return data.rate("bps", "max_rate", factor=None) if bits is None else bits


def _event(whole: Fields, data: Fields) -> Event:
    """START and END as they say; a tunnel by its new state; without a word, something began."""
    word = whole.line("alert_event").upper()
    if word.endswith("START") or not word:
        return "start"
    if word.endswith("END"):
        return "end"
    status = data.line("new_status").upper()
    if status.endswith(_TUNNEL_ILL):
        return "start"
    return "end" if status.endswith(_TUNNEL_WELL) else "other"


def _keys(
    whole: Fields, data: Fields, kind: str, event: Event, targets: tuple[str, ...]
) -> tuple[str, str, str]:
    """Identity, incident and thing: from the attack's or tunnel's id, else from what it tells.

    Several attacks may have one correlation id. So the attack's id and its target belong to the incident, and
    an end that names neither ends what goes on under its correlation id. A tunnel's id stays the same for
    years, so its time is part of the identity, and the incident's key comes again with each outage.
    """
    correlation, attack = whole.line("alert_correlation_id"), data.line("attack_id")
    if correlation or attack:
        one = (correlation, attack, ",".join(sorted(targets)))
        return derive(NAME, *one, event), derive(NAME, *one), derive(NAME, correlation or attack)
    tunnel = data.line("tunnel_id")
    if tunnel:
        when = data.line("event_ts") or whole.line("ts")
        return derive(NAME, kind, tunnel, event, when), derive(NAME, kind, tunnel), ""
    told = (
        kind,
        whole.line("policy_id", "name"),
        ",".join(targets),
        data.line("rule_name"),
        data.line("start_time") or whole.line("ts"),
    )
    return derive(NAME, *told, event), derive(NAME, *told), ""


SOURCE = AlertSource(NAME, verify, sign, parse, is_ping)
