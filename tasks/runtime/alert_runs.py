"""The runs of `respond` that alerts start. Prefect is not imported here: the receiver starts in an instant.

An alert's texts come from outside. In parameters, Prefect's server renders templates, so a text could become
one. Everything that goes into a run is made plain data first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edgecap.alerts.policy.decision import Plan
from tasks.runtime.prefect_names import TEMPLATE_KEY

ALERT = "alert"  # the tag of every run that an alert started
NOTIFY = "notify "  # how the names of tasks begin that notify a channel
MOST_ALERT = 100_000  # bytes of JSON; Prefect refuses parameters of half a megabyte
_LONGEST_NAME = 200  # characters
_LONG = ("text", "labels", "notes")  # of an alert: for people, and kept in the inbox


def incident_tag(incident: str) -> str:
    """The tag of every run of an incident, to be read by people: two incidents may have the same one.

    Prefect finds runs by tags, and not by labels or parameters. `is_of_incident` makes it exact.
    """
    return f"incident {incident[:8]}"


def incident_tags(incident: str) -> list[str]:
    """The tag of an incident's runs, and the one that they had before."""
    return [incident_tag(incident), f"incident:{incident}"]


def is_of_incident(parameters: Mapping[str, Any], incident: str) -> bool:
    """Whether a run with these parameters answers this incident, or is one of its captures."""
    part = parameters.get("part")
    of = part.get("incident") if isinstance(part, Mapping) else parameters.get("incident")
    return bool(of == incident)


def respond_name(incident: str, words: str) -> str:
    """The name of a run of `respond`, such as `incident 1f0c22ab: SYN flood on 203.0.113.7`.

    Args:
        incident: the incident's id.
        words: the alert in a few words.
    """
    return str(plain(f"incident {incident[:8]}: {words}"[:_LONGEST_NAME]))


def respond_run(
    *,
    incident: str,
    event: str,
    alert: Mapping[str, Any],
    words: str,
    plan: Plan,
    account: str,
    archive: str,
    key: str,
) -> dict[str, Any]:
    """A run of `respond`, as the arguments with which Prefect's client and ours start a deployment's run.

    Args:
        incident: the incident's id.
        event: `start`, `escalation` or `end`.
        alert: what arrived, as JSON without its payload. Long texts are left out of a very large one.
        words: the same in a few words.
        plan: what was decided.
        account: name of the account in the settings.
        archive: name of the archive in the settings.
        key: the same key gives the same run.
    """
    if len(json.dumps(alert)) > MOST_ALERT:
        alert = {name: value for name, value in alert.items() if name not in _LONG}
    parameters = {
        "incident": incident,
        "event": event,
        "alert": dict(alert),
        "plan": plan.model_dump(mode="json"),
        "account": account,
        "archive": archive,
    }
    return {
        "name": respond_name(incident, words),
        "parameters": plain(parameters),
        "tags": [ALERT, incident_tag(incident)],
        "idempotency_key": key,
    }


def plain(value: Any) -> Any:
    """JSON that Prefect takes for nothing but data: no templates, and no NUL, which PostgreSQL refuses."""
    if isinstance(value, dict):
        return {
            plain(name.removeprefix("_") if name == TEMPLATE_KEY else name): plain(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
