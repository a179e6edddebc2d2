"""The schedules that are on, in words: what a setup will start by itself, and when."""

from __future__ import annotations

from typing import Any

from edgecap.units import duration
from tasks.runtime.rest import PrefectApi

NONE_ON = "none is on. Switch one on in the UI (Deployments), or in prefect.yaml (active: true)"
_OWN = "upkeep"  # the queue of `reconcile`, which starts no capture


def schedules_on(prefect: PrefectApi) -> list[str]:
    """Each schedule of captures that is on, such as `nightly: cron 30 3 * * *, UTC`.

    Raises:
        SetupError: the server does not answer, or refuses.
    """
    found = prefect.call("POST", "/deployments/filter", json={"sort": "NAME_ASC"})
    return [
        f"{deployment['name']}: {in_words(each['schedule'])}"
        for deployment in found
        if not deployment["paused"] and deployment["work_queue_name"] != _OWN
        for each in deployment["schedules"]
        if each["active"]
    ]


def in_words(schedule: dict[str, Any]) -> str:
    """When a schedule of Prefect's starts runs."""
    zone = f", {schedule.get('timezone') or 'UTC'}"
    if "cron" in schedule:
        return f"cron {schedule['cron']}{zone}"
    if "interval" in schedule:
        return f"every {duration(float(schedule['interval']))}"
    return f"{schedule.get('rrule', 'a schedule of a kind that edgecap does not know')}{zone}"
