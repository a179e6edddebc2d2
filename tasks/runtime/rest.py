"""The few calls to a Prefect server that watching and starting runs takes, without importing Prefect."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sized
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import stamina

from edgecap.errors import SetupError
from edgecap.network.certificates import Authorities
from edgecap.network.errors import diagnose
from edgecap.network.over_httpx import Network
from tasks.runtime.deployment_names import FORMER
from tasks.runtime.prefect_names import AUTO_SCHEDULED, MEMORY_LEASES
from tasks.runtime.prefect_server import SIGN_IN, PrefectServer

# A server on SQLite answers 503 while something else writes.
_ATTEMPTS, _FIRST, _MOST = 7, 0.1, 4.0  # the waits between them, doubling, in seconds: six in all
_PAGE = 200  # things; what it answers at most
_UNFINISHED = ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"]


class PrefectApi:
    """A Prefect server's REST API.

    Args:
        server: the server; a URL alone takes the credentials of the environment.
        timeout: seconds for one call, or for each part of it.
        retry: try again where a server is just starting, or busy; False leaves that to the caller.
    """

    def __init__(
        self, server: PrefectServer | str, *, timeout: float | httpx.Timeout = 30, retry: bool = True
    ) -> None:
        if isinstance(server, str):
            server = PrefectServer(server)
        self._attempts = _ATTEMPTS if retry else 1
        self._client = httpx.Client(
            base_url=server.api_url,
            timeout=timeout,
            headers=server.headers(),
            transport=Network(retries=3 if retry else 0, **_tls()),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def check(self) -> None:
        """Return if the server answers and knows us.

        Raises:
            SetupError: it does not.
        """
        self.call("GET", "/admin/version")

    def keeps_leases_in_memory(self) -> bool:
        """Whether the server forgets at a restart which slots are held."""
        try:
            settings = self.call("GET", "/admin/settings")
            storage = str(settings["server"]["concurrency"]["lease_storage"])
        except (SetupError, KeyError, TypeError):
            return False  # Prefect Cloud tells no settings
        return storage == MEMORY_LEASES

    def make_pool(
        self, name: str, queues: Mapping[str, int], template: Mapping[str, Any], *, replace: bool = False
    ) -> dict[str, Any]:
        """Make a process work pool and its queues, or bring the queues' priorities up to date.

        Args:
            name: the pool's.
            queues: their names and priorities.
            template: Prefect's base job template for a new pool.
            replace: whether a pool that is there gets the template, too.

        Returns:
            The template that the pool has then.
        """
        body = {"name": name, "type": "process", "base_job_template": template}
        held = dict(template)
        if not self._create("/work_pools/", {**body, "description": "Captures at the edge"}):
            held = self.call("GET", f"/work_pools/{name}")["base_job_template"]
            if (replace or not held) and held != template:
                self.call("PATCH", f"/work_pools/{name}", json={"base_job_template": template})
                held = dict(template)
        for queue, priority in queues.items():
            if not self._create(f"/work_pools/{name}/queues", {"name": queue, "priority": priority}):
                self.call("PATCH", f"/work_pools/{name}/queues/{queue}", json={"priority": priority})
        return held

    def queues(self, pool: str) -> set[str]:
        """The names of a work pool's queues."""
        found = self.call("POST", f"/work_pools/{pool}/queues/filter", json={})
        return {queue["name"] for queue in found}

    def worker(self, pool: str, name: str) -> dict[str, Any] | None:
        """What the server knows of a worker of a pool, such as `status` and `last_heartbeat_time`."""
        return next((worker for worker in self._workers(pool) if worker["name"] == name), None)

    def online_workers(self, pool: str) -> list[str]:
        """The names of a pool's workers that are online."""
        return sorted(worker["name"] for worker in self._workers(pool) if worker["status"] == "ONLINE")

    def _workers(self, pool: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call(
            "POST", f"/work_pools/{pool}/workers/filter", json={"limit": _PAGE}
        )
        return found

    def slot_is_taken(self, name: str) -> bool:
        """Whether a global concurrency limit has a slot that is taken; False if there is no such limit."""
        try:
            return int(self.call("GET", f"/v2/concurrency_limits/{name}")["active_slots"]) > 0
        except SetupError as error:
            if status(error) == httpx.codes.NOT_FOUND:
                return False
            raise

    def deployment(self, name: str) -> dict[str, Any]:
        """The deployment called `flow/deployment`, or the one that has the name that this one had before."""
        try:
            found: dict[str, Any] = self.call("GET", f"/deployments/name/{name}")
        except SetupError as error:
            if status(error) != httpx.codes.NOT_FOUND or name not in FORMER:
                raise
            found = self.call("GET", f"/deployments/name/{FORMER[name]}")
        return found

    def add_interval_schedule(
        self, deployment_id: str, *, seconds: float, anchor: datetime, slug: str
    ) -> None:
        """Add a schedule to a deployment: every `seconds`, counted from `anchor` (aware)."""
        schedule = {"interval": seconds, "anchor_date": anchor.isoformat(), "timezone": "UTC"}
        body = [{"schedule": schedule, "active": True, "slug": slug}]
        self.call("POST", f"/deployments/{deployment_id}/schedules", json=body)
        # Prefect looks every five seconds at deployments that changed, every minute at the others, and a new
        # schedule alone is no change of its deployment.
        self.call("PATCH", f"/deployments/{deployment_id}", json={"paused": False})

    def pause(self, name: str) -> None:
        """Pause the schedules of the deployment `flow/deployment`."""
        self.call("PATCH", f"/deployments/{self.deployment(name)['id']}", json={"paused": True})

    def start_run(
        self,
        deployment_id: str,
        parameters: dict[str, Any],
        *,
        tags: list[str],
        name: str = "",
        idempotency_key: str | None = None,
        at: datetime | None = None,
    ) -> dict[str, Any]:
        """Schedule a run of a deployment for `at` (aware), or for now; with the same key, the same run.

        Without a name, Prefect makes one up.
        """
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": at.isoformat()} if at else {}}
        body: dict[str, Any] = {"parameters": parameters, "tags": tags, "state": state}
        if name:
            body["name"] = name
        if idempotency_key:
            body["idempotency_key"] = idempotency_key
        run: dict[str, Any] = self.call("POST", f"/deployments/{deployment_id}/create_flow_run", json=body)
        return run

    def rename(self, run_id: str, name: str) -> None:
        """Give a run another name."""
        self.call("PATCH", f"/flow_runs/{run_id}", json={"name": name})

    def hurry(self, run_id: str) -> None:
        """Schedule a run for now, unless it was taken up already."""
        if self.run(run_id)["state"]["type"] == "SCHEDULED":
            self.call("POST", f"/flow_runs/{run_id}/set_state", json={"state": {"type": "SCHEDULED"}})

    def emit(self, event: dict[str, Any]) -> None:
        """Send an event to Prefect's timeline; events with the same `id` count once."""
        self.call("POST", "/events", json=[event])

    def log(self, run_id: str, message: str, level: int = logging.ERROR) -> None:
        """Leave a line in a run's log."""
        line = {
            "name": "edgecap",
            "level": level,
            "message": message,
            "timestamp": datetime.now(UTC).isoformat(),
            "flow_run_id": run_id,
        }
        self.call("POST", "/logs/", json=[line])

    def run(self, run_id: str) -> dict[str, Any]:
        """A flow run as it is now."""
        run: dict[str, Any] = self.call("GET", f"/flow_runs/{run_id}")
        return run

    def scheduled_runs(self, deployment_id: str, *, since: datetime) -> list[dict[str, Any]]:
        """The scheduled runs of a deployment that are due from `since` on, earliest first."""
        body = {
            "deployments": {"id": {"any_": [deployment_id]}},
            "flow_runs": {
                "tags": {"all_": [AUTO_SCHEDULED]},
                "expected_start_time": {"after_": since.isoformat()},
            },
            "sort": "EXPECTED_START_TIME_ASC",
            "limit": 20,
        }
        runs: list[dict[str, Any]] = self.call("POST", "/flow_runs/filter", json=body)
        return runs

    def find_run(self, run_id: str) -> dict[str, Any] | None:
        """As `run`; None if there is none."""
        try:
            return self.run(run_id)
        except SetupError as error:
            if status(error) == httpx.codes.NOT_FOUND:
                return None
            raise

    def waiting(self, tag: str) -> list[dict[str, Any]]:
        """The flow runs with this tag that are not over, most of them waiting."""
        return self.find_runs({"tags": {"all_": [tag]}, "state": {"type": {"any_": _UNFINISHED}}})

    def tagged(self, tag: str) -> list[dict[str, Any]]:
        """The flow runs with this tag, over or not."""
        return self.find_runs({"tags": {"all_": [tag]}})

    def unfinished(self) -> list[dict[str, Any]]:
        """The flow runs of edgecap that have begun and are not over, or wait for their turn."""
        runs = self.find_runs({"state": {"type": {"any_": _UNFINISHED}}})
        return [run for run in runs if run["state"]["name"] != "Scheduled"]

    def cancelling(self, flow: str) -> list[dict[str, Any]]:
        """The runs of a flow that are being cancelled."""
        return self.find_runs({"state": {"type": {"any_": ["CANCELLING"]}}}, flow=flow)

    def cancelled(self, flow: str, *, since: datetime) -> list[dict[str, Any]]:
        """The runs of a flow that were cancelled since then."""
        ended = {"state": {"type": {"any_": ["CANCELLED"]}}, "end_time": {"after_": since.isoformat()}}
        return self.find_runs(ended, flow=flow)

    def cancel(self, run_id: str) -> str:
        """Cancel a run as the UI does; returns the name of its state then, such as `Cancelling`.

        A run that crashed has no process, and would be taken up again: it is cancelled at once.
        """
        self._set_state(run_id, "CANCELLING", "Cancelling")
        state = self.run(run_id)["state"]
        if state["type"] == "CRASHED":
            self._set_state(run_id, "CANCELLED", "Cancelled")
            state = self.run(run_id)["state"]
        name: str = state["name"]
        return name

    def _set_state(self, run_id: str, state_type: str, name: str) -> None:
        state = {"type": state_type, "name": name}
        self.call("POST", f"/flow_runs/{run_id}/set_state", json={"state": state, "force": False})

    def find_runs(self, wanted: dict[str, Any], *, flow: str = "") -> list[dict[str, Any]]:
        """All flow runs that match.

        Args:
            wanted: Prefect's `FlowRunFilter`, such as `{"tags": {"all_": ["alert"]}}`.
            flow: the name of their flow; any if empty.
        """
        body = {"flow_runs": wanted, "flows": {"name": {"any_": [flow]}} if flow else None}
        found: list[dict[str, Any]] = []
        for window in windows(found):
            found += self.call("POST", "/flow_runs/filter", json=body | window)
        return found

    def failed_tasks(self, name: str, *, since: datetime) -> int:
        """How many runs of tasks failed since then whose name has `name` in it."""
        wanted = {
            "name": {"like_": name},
            "state": {"type": {"any_": ["FAILED", "CRASHED"]}},
            "start_time": {"after_": since.isoformat()},
        }
        return int(self.call("POST", "/task_runs/count", json={"task_runs": wanted}))

    def progress(self, run_id: str) -> float | None:
        """Per cent that a run's newest progress artifact states, or None if it has none."""
        body = {
            "artifacts": {"type": {"any_": ["progress"]}},
            "flow_runs": {"id": {"any_": [run_id]}},
            "limit": 1,
        }
        found = self.call("POST", "/artifacts/filter", json=body)
        try:
            return float(found[0]["data"])
        except (IndexError, KeyError, TypeError, ValueError):
            return None

    def _create(self, path: str, body: dict[str, Any]) -> bool:
        """True if it was made, False if it exists already."""
        try:
            self.call("POST", path, json=body)
        except SetupError as error:
            if status(error) == httpx.codes.CONFLICT:
                return False
            raise
        return True

    def call(self, method: str, path: str, *, json: Any = None) -> Any:
        """Call the API; the JSON that it answers.

        Args:
            method: such as `POST`.
            path: below the API's address, such as `/flow_runs/filter`.
            json: the body.

        Raises:
            SetupError: the server does not answer, or refuses.
        """
        try:
            for attempt in stamina.retry_context(
                on=_is_busy,
                attempts=self._attempts,
                timeout=None,
                wait_initial=_FIRST,
                wait_max=_MOST,
                wait_jitter=_FIRST,
            ):
                with attempt:
                    answer = self._client.request(method, path, json=json).raise_for_status()
            return answer.json() if answer.content else None
        except httpx.HTTPStatusError as error:
            raise SetupError(
                f"the Prefect server answers {error.response.status_code}: {error.response.text[:200]}",
                where=f"{method} {path}",
                hint=SIGN_IN if error.response.status_code == httpx.codes.UNAUTHORIZED else "",
            ) from error
        except (httpx.HTTPError, ValueError) as error:
            diagnosis = diagnose(error, str(self._client.base_url))
            raise SetupError(
                f"the Prefect server does not answer: {diagnosis.what if diagnosis else error}",
                where=str(self._client.base_url),
                hint=diagnosis.hint if diagnosis else "start it with `edgecap up`, or set PREFECT_API_URL",
            ) from error


def _is_busy(error: Exception) -> bool:
    return (
        isinstance(error, httpx.HTTPStatusError)
        and error.response.status_code == httpx.codes.SERVICE_UNAVAILABLE
    )


def windows(found: Sized) -> Iterator[dict[str, Any]]:
    """What to ask Prefect's API for, page after page, until a page is not full.

    ::

        for window in windows(found):
            found += call(..., **window)

    Args:
        found: a list to which the caller adds each page before it asks for the next window.
    """
    offset = 0
    while True:
        yield {"offset": offset, "limit": _PAGE}
        if len(found) < offset + _PAGE:
            return
        offset = len(found)


def status(error: SetupError) -> int | None:
    """The HTTP status with which the server refused a call; None if it did not answer."""
    cause = error.__cause__
    return cause.response.status_code if isinstance(cause, httpx.HTTPStatusError) else None


def _tls() -> dict[str, Any]:
    """What Prefect's own client takes from the environment about certificates."""
    name = "PREFECT_API_SSL_CERT_FILE"
    file = os.environ.get(name)
    insecure = os.environ.get("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "").lower()
    return {
        "also": Authorities(name, Path(file)) if file else None,
        "verify": insecure not in ("1", "true", "t", "yes", "y", "on"),  # as pydantic reads it
    }
