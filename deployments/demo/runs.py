"""The runs that the demonstration starts and watches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from edgecap.errors import SetupError
from tasks.runtime.deployment_names import BY_PROGRAM
from tasks.runtime.rest import PrefectApi, status
from tasks.runtime.run_names import run_name

EVERY = 30  # seconds between two runs of the demonstration's schedule
SIMPLE = "capture/simple-every-10-min"
_GIVEN_UP = timedelta(minutes=15)  # by then a crashed run is given up: reconcile looks every ten
# A crashed run is taken up again, until it is given up.
ENDED = {"COMPLETED", "FAILED", "CANCELLED"}
FULL_REQUEST = {
    "type": "full",
    "colo": "ORD",
    "bucket": "default",
    "time_limit": 10,
    "filter": {"destination_address": "203.0.113.7", "destination_port": 443},
}


@dataclass
class ShownRun:
    """A run of the demonstration, as it was last seen.

    Attributes:
        label: what the run demonstrates.
        run_id: the run's id, once there is one.
        name: the run's name in the UI.
        state: Prefect's state name, such as `Running`.
        message: the state's message.
        ended: whether it is over, whatever its outcome.
        good: whether it completed.
        progress: per cent, or None before it has any.
        url: its page.
    """

    label: str
    run_id: str = ""
    name: str = ""
    state: str = "Waiting for its time"
    message: str = ""
    ended: bool = False
    good: bool = False
    progress: float | None = None
    url: str = ""


def starts(alerted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs that opened an incident, among all that an alert started."""
    return [run for run in alerted if run["parameters"].get("event") == "start"]


def schedule(prefect: PrefectApi, deployment: str, anchor: datetime) -> None:
    """Schedule the deployment every `EVERY` seconds, counted from `anchor`. A second call changes nothing.

    Raises:
        SetupError: the Prefect server does not answer, or refuses.
    """
    try:
        prefect.add_interval_schedule(deployment, seconds=EVERY, anchor=anchor, slug="demo-every-30-s")
    except SetupError as error:
        if status(error) != httpx.codes.CONFLICT:  # made already, and the answer was lost
            raise


def start_full(prefect: PrefectApi) -> str:
    """Start the full capture as a person does in the UI; returns the run's id, the same at a second call.

    Raises:
        SetupError: the Prefect server does not answer, or refuses.
    """
    deployment = prefect.deployment(BY_PROGRAM)["id"]
    run = prefect.start_run(
        deployment,
        {"request": FULL_REQUEST},
        name=run_name("capture", {"request": FULL_REQUEST}),
        tags=["demo"],
        idempotency_key="full by hand",
    )
    return str(run["id"])


def first_on(runs: list[dict[str, Any]], anchor: datetime) -> str:
    """The first run that the demonstration's schedule made; the deployment has a schedule of its own, too."""
    ours = [run["id"] for run in runs if _is_on(run["expected_start_time"], anchor)]
    return ours[0] if ours else ""


def is_over(state: dict[str, Any]) -> bool:
    """Whether a run is over: it ended, or crashed too long ago to be taken up again."""
    if state.get("type") == "CRASHED":
        return datetime.now(UTC) - datetime.fromisoformat(state["timestamp"]) > _GIVEN_UP
    return state.get("type") in ENDED


def _is_on(expected: str, anchor: datetime) -> bool:
    """Whether a run's time is one that the demonstration's schedule made."""
    seconds = (datetime.fromisoformat(expected) - anchor).total_seconds() % EVERY
    return min(seconds, EVERY - seconds) < 1e-3  # noqa: PLR2004 - Prefect keeps microseconds
