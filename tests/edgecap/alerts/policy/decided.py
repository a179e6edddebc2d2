"""An alert, a policy of one rule, and the plan for both."""

from datetime import UTC, datetime, timedelta

from edgecap.alerts.model import Alert
from edgecap.alerts.policy.decision import decide, read_policy

NOW = datetime(2026, 11, 23, 6, 32, tzinfo=UTC)
START = NOW - timedelta(seconds=60)


def alert(**changes):
    known = {
        "source": "cloudflare",
        "kind": "dos_attack_l4",
        "event": "start",
        "severity": "high",
        "identity": "1" * 32,
        "incident": "2" * 32,
        "received": NOW,
        "started": START,
        "targets": ("203.0.113.7",),
        "target_port": 443,
        "protocol": 6,
    }
    return Alert(**{**known, **changes})


def policy(table=""):
    """One rule. Unless the table says otherwise, it has no full captures where the alert names no place."""
    during = "" if "during" in table else "during = { colos = [] }"
    return read_policy(f'[[rules]]\nname = "mine"\n{table}\n{during}')


def plan(table="", *, bounds=None, now=None, **changes):
    return decide(alert(**changes), policy(table), bounds=bounds, now=now)


def phases(found):
    return [(each.phase, each.number) for each in found.captures]
