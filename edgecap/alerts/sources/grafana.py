"""Grafana Alerting's webhook contact point: Alertmanager's form with a few fields more.

It authenticates with an `Authorization` header (Bearer, or Basic), or from Grafana 12 on with a signature:
HMAC-SHA256 in hexadecimal in `X-Grafana-Alerting-Signature`, over the body or, if a timestamp header is set
in the contact point, over `timestamp:body`. Its "Test" button sends an alert called `TestAlert`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from edgecap.alerts.model import Alert
from edgecap.alerts.sources import signing
from edgecap.alerts.sources.alertmanager import parse_group
from edgecap.alerts.sources.base import AlertSource
from edgecap.alerts.sources.payload import as_object, not_understood

NAME = "grafana"
SIGNATURE = "X-Grafana-Alerting-Signature"
TIMESTAMP = "X-Grafana-Alerting-Timestamp"  # a name of our choice: Grafana has no default


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """A signature if there is one, else the secret itself as a Bearer token or a Basic password.

    A signed time is not held against the clock: alerts are known by their identity, so that one sent again
    by somebody else makes nothing happen twice.
    """
    signature = signing.header(headers, SIGNATURE)
    if not signature:
        return signing.shared_secret(headers, secret)
    stamp = signing.header(headers, TIMESTAMP)
    message = stamp.encode("utf-8", "replace") + b":" + body if stamp else body
    return bool(secret) and signing.same(signature.lower(), signing.hmac_sha256(message, secret))


def sign(body: bytes, secret: str) -> dict[str, str]:
    """A signature over the body, which also tells whether something on the way changed it."""
    return {SIGNATURE: signing.hmac_sha256(body, secret)}


def is_ping(payload: object) -> bool:
    """A contact point's "Test": it reserves the labels `alertname` and `instance`; others can be added."""
    alerts = payload.get("alerts") if isinstance(payload, dict) else None
    if not isinstance(alerts, list) or not alerts:
        return False
    labels = [alert.get("labels") if isinstance(alert, dict) else None for alert in alerts]
    return all(
        isinstance(each, dict) and each.get("alertname") == "TestAlert" and each.get("instance") == "Grafana"
        for each in labels
    )


def parse(payload: object, *, received: datetime, own_names: Sequence[str] = ()) -> list[Alert]:
    """The alerts of a notification; those that are resolved are `end`.

    Raises:
        AlertNotUnderstood: it is not an object, or has no list of alerts.
    """
    if is_ping(payload):
        return []
    raw = as_object(payload, NAME)
    if "alerts" not in raw and "ruleName" in raw:
        raise not_understood(
            "this is an alert of Grafana's legacy alerting, which has no list of alerts", NAME
        )
    return parse_group(NAME, raw, received=received, own_names=own_names)


SOURCE = AlertSource(NAME, verify, sign, parse, is_ping, signature=SIGNATURE)
