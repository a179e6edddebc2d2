"""The schedules that are on, in words: what a setup will start by itself, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from edgecap.units import duration, stamp
from tasks.runtime.rest import PrefectApi

NONE_ON = "none is on. Switch one on in the UI (Deployments), or in prefect.yaml (active: true)"
_OWN = "upkeep"  # the queue of `reconcile`, which starts no capture


def schedules_on(prefect: PrefectApi) -> list[str]:
    """Each schedule of captures that is on, and when it starts a run next.

    Such as `nightly: cron 30 3 * * *, UTC; next 2026-11-30 03:30:00 UTC`.

    Raises:
        SetupError: the server does not answer, or refuses.
    """
    found = prefect.call("POST", "/deployments/filter", json={"sort": "NAME_ASC"})
    lines = []
    for deployment in found:
        active = [each for each in deployment["schedules"] if each["active"]]
        if deployment["paused"] or deployment["work_queue_name"] == _OWN or not active:
            continue
        due = _next_runs(prefect, deployment["id"])
        for each in active:
            words = f"{deployment['name']}: {in_words(each['schedule'])}"
            lines.append(f"{words}; next {stamp(due[each['id']])}" if each["id"] in due else words)
    return lines


def _next_runs(prefect: PrefectApi, deployment: str) -> dict[str, datetime]:
    """When each schedule of a deployment starts a run next, by the schedule's id.

    Prefect makes the runs of schedules every minute. It is asked to make the next one now: it knows the time
    zones and calendars, and makes no run twice.
    """
    prefect.call("POST", f"/deployments/{deployment}/schedule", json={"min_runs": 1, "max_runs": 1})
    runs = prefect.find_runs(
        {"deployment_id": {"any_": [deployment]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
    )
    due: dict[str, datetime] = {}
    for run in runs:
        schedule, at = (run.get("created_by") or {}).get("id"), run.get("expected_start_time")
        if schedule and at and (moment := datetime.fromisoformat(at)) >= datetime.now(UTC):
            due[schedule] = min(moment, due.get(schedule, moment))
    return due


def in_words(schedule: dict[str, Any]) -> str:
    """When a schedule of Prefect's starts runs."""
    zone = f", {schedule.get('timezone') or 'UTC'}"
    if "cron" in schedule:
        return f"cron {schedule['cron']}{zone}"
    if "interval" in schedule:
        return f"every {duration(float(schedule['interval']))}"
    return f"{schedule.get('rrule', 'a schedule of a kind that edgecap does not know')}{zone}"
