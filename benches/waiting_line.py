"""Runs that wait in line before a lane, made in Prefect as the product leaves them, and taken off again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from edgecap.captures.lanes import Kind
from edgecap.captures.parameters import request_of
from edgecap.captures.queue import LANES, Priority, Waiter, lane_tag
from tasks.runtime.lane_waiters import marks_of
from tasks.runtime.rest import PrefectApi

FAR = timedelta(days=1)  # until which they sleep, unless they are called
_STATE = "WaitingForLane"


class WaitingLine:
    """The runs that the bench lets wait for one lane: each has a turn once the one before has called it.

    Args:
        prefect: the API.
        kind: the lane's.
        lanes: what the account's lanes are known by.
        deployment_id: whose runs they are.
        request: what each is to capture.
    """

    def __init__(
        self, prefect: PrefectApi, kind: Kind, lanes: str, deployment_id: str, request: dict[str, Any]
    ) -> None:
        self._prefect = prefect
        self._tag, self._lanes = lane_tag(kind), lanes
        self._deployment_id = deployment_id
        self._request = request
        self._hold = timedelta(seconds=request["time_limit"] if kind == "full" else 0)
        self._first = ""

    def __repr__(self) -> str:
        return f"<WaitingLine {self._tag}>"

    def fill(self, count: int) -> None:
        """Let `count` runs wait, those that wait already among them."""
        have = self._sleepers()
        now = datetime.now(UTC)
        for number in range(count - len(have)):
            since = now + timedelta(milliseconds=number)
            waiter = Waiter("", Priority.MANUAL, since, now + FAR, self._hold)
            self._prefect.call(
                "POST",
                f"/deployments/{self._deployment_id}/create_flow_run",
                json={
                    # Without a name of ours, each would be given one while the bench measures.
                    "name": str(request_of({"request": self._request})),
                    "parameters": {"request": self._request},
                    "tags": [self._tag],
                    "labels": {**marks_of(waiter), LANES: self._lanes},
                    "state": _asleep(now),
                },
            )

    def start(self) -> None:
        """Call the first of them; then each calls the next."""
        first = min(self._sleepers(), key=lambda run: str(run["labels"]["edgecap.waiting-since"]))
        due = {
            "type": "SCHEDULED",
            "name": _STATE,
            "state_details": {"scheduled_time": _text(datetime.now(UTC))},
        }
        self._prefect.call("POST", f"/flow_runs/{first['id']}/set_state", json={"state": due, "force": True})

    def stop(self) -> None:
        """Let those that were called sleep again. No worker may take runs meanwhile."""
        now = datetime.now(UTC)
        for run in self._sleepers():
            if datetime.fromisoformat(run["state"]["state_details"]["scheduled_time"]) < now + FAR / 2:
                self._prefect.call(
                    "POST",
                    f"/flow_runs/{run['id']}/set_state",
                    json={"state": _asleep(now), "force": True},
                )

    def _sleepers(self) -> list[dict[str, Any]]:
        return self._prefect.find_runs(
            {"tags": {"all_": [self._tag]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
        )


def _asleep(now: datetime) -> dict[str, Any]:
    return {
        "type": "SCHEDULED",
        "name": _STATE,
        "message": "Waiting for the lane: others go first",
        "state_details": {"scheduled_time": _text(now + FAR)},
    }


def _text(moment: datetime) -> str:
    return moment.isoformat()
