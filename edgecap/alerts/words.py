"""An alert in people's words: what it is, against what, since when. Internal names are put in words."""

from __future__ import annotations

from edgecap.alerts.model import Alert
from edgecap.units import stamp

_WORDS = {
    "ddos": "DDoS",
    "dos": "DoS",
    "dosd": "DoS",
    "fbm": "flow-based monitoring",
    "l3": "(layer 3)",
    "l4": "(layer 4)",
    "l7": "(layer 7)",
    **{word: word.upper() for word in ("tcp", "udp", "icmp", "dns", "syn", "http", "ntp", "bgp", "ip")},
}
_PRODUCTS = {
    "cloudflare": "Cloudflare",
    "alertmanager": "Alertmanager",
    "grafana": "Grafana",
    "pagerduty": "PagerDuty",
    "datadog": "Datadog",
    "fastnetmon": "FastNetMon",
}
_SHOWN = 3  # targets


def what_it_is(alert: Alert) -> str:
    """Such as `Advanced DDoS attack (layer 4)`: its title, or its kind without underscores."""
    if alert.title and alert.title != alert.kind:
        return alert.title
    words = alert.kind.replace("_", " ").replace("-", " ").split()
    words = words[:-1] if len(words) > 1 and words[-1].lower() == "alert" else words
    told = " ".join(_WORDS.get(word.lower(), word) for word in words) or "alert"
    return told[0].upper() + told[1:]


def target_of(alert: Alert) -> str:
    """Such as `203.0.113.7 port 443`; empty if the alert names no target."""
    more = f" and {len(alert.targets) - _SHOWN} more" if len(alert.targets) > _SHOWN else ""
    port = f" port {alert.target_port}" if alert.target_port and alert.targets else ""
    return ", ".join(alert.targets[:_SHOWN]) + more + port


def in_words(alert: Alert) -> str:
    """What, the target, when, and who says so, in a line.

    Such as `Advanced DDoS attack (layer 4) on 203.0.113.7 port 443, began 2026-11-23 06:33:25 UTC, from
    Cloudflare`.
    """
    parts = [_attack(alert)]
    if alert.event == "end":
        parts.append(f"ended {stamp(alert.ended or alert.received)}")
    elif alert.started:
        parts.append(f"began {stamp(alert.started)}")
    else:
        parts.append(f"arrived {stamp(alert.received)}")
    if sender := sender_of(alert):
        parts.append(f"from {sender}")
    return ", ".join(parts)


def briefly(alert: Alert, *, severity: str | None = None) -> str:
    """What, the target, how severe and who says so, without the time: for lists that show it, and for names.

    Such as `Advanced DDoS attack (layer 4) on 203.0.113.7 port 443, critical, from Cloudflare`; an end begins
    with `end of`.

    Args:
        alert: what arrived.
        severity: instead of the alert's own, such as that of its whole incident; empty: none is told.
    """
    parts = [f"end of {_attack(alert)}" if alert.event == "end" else _attack(alert)]
    told = severity if severity is not None else "" if alert.severity == "unknown" else alert.severity
    if told and alert.event == "start":
        parts.append(told)
    if sender := sender_of(alert):
        parts.append(f"from {sender}")
    return ", ".join(parts)


def words_of_run(alert: Alert, event: str) -> str:
    """An alert in a few words, for the name of the run that answers it.

    The run of an incident's start keeps its name to the end, while the incident may become more severe: only
    the name of an escalation has a severity.

    Args:
        alert: what arrived.
        event: what it is to its incident: start, escalation or end.
    """
    return briefly(alert, severity=None if event == "escalation" else "")


def _attack(alert: Alert) -> str:
    what, target = what_it_is(alert), target_of(alert)
    named = alert.targets and any(each in what for each in alert.targets)
    return what if named or not target else f"{what} on {target}"


def sender_of(alert: Alert) -> str:
    """The product that sent it; empty if that is some other program."""
    return _PRODUCTS.get(alert.source, "")
