"""A site: a real Prefect server, a real worker and the deployments of `prefect.yaml`, watched and restarted.

It plays one case at a time. Each case writes its settings to the site's `edgecap.toml`, which the processes
of flow runs read when they start. The Prefect server keeps its database in SQLite or PostgreSQL, and the
leases of slots in files, as with `edgecap up`, or in memory, which is Prefect's default.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx

from deployments.local.setup import POOL, QUEUES, LocalSetup
from deployments.local.watching import LOOK, Watch
from deployments.local.work_pool import TEMPLATE
from edgecap.errors import SetupError
from tasks.runtime.rest import PrefectApi
from tasks.runtime.warm_runner import HEAD_START
from tests.faults.case import GENTLE, Step
from tests.faults.postgres import URL, Postgres
from tests.faults.terminal import Terminal
from tests.prefect_database import place_database

CRASH = Path(__file__).parent / "crash"
PATIENT = 300.0  # seconds for a start or an answer, since other programs use the processors, too
UPKEEP = "reconcile"  # this flow's schedule stays on
OVER = ("COMPLETED", "FAILED", "CANCELLED")
FLAVOURS = (
    "sqlite",
    "postgres",
    "memory",
    "warm",
)  # memory: leases are kept there; warm: a warm process runs
MEMORY = "prefect.server.concurrency.lease_storage.memory"
ANY = "*"  # stands for runs whose id nobody knows before they start


@dataclass(frozen=True)
class State:
    """One state of a run, as Prefect's REST API has it."""

    type: str
    name: str
    message: str
    at: datetime


class Site:
    """`with Site(folder) as site:` and everything runs.

    Args:
        home: folder for its state.
        database: a migrated Prefect database; making one takes 20 seconds of a processor.
        deployed: whether the database has the deployments, which takes as long again.
        flavour: one of `FLAVOURS`.
        postgres: a server for a site with that flavour.
        points: the functions, by module, that steps may name in a process that works on many runs.
    """

    def __init__(
        self,
        home: Path,
        database: Path | None = None,
        *,
        deployed: bool = False,
        flavour: str = "sqlite",
        postgres: Postgres | None = None,
        points: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.home = home
        self.flavour = flavour
        self._database = database
        self._deployed = deployed
        self._postgres = postgres
        self.config = home / "edgecap.toml"
        self.faults = home / "faults"
        self.faults.mkdir(parents=True)
        path = os.pathsep.join(filter(None, [str(CRASH), os.environ.get("PYTHONPATH", "")]))
        env = {"EDGECAP_CONFIG": str(self.config), "EDGECAP_FAULTS": str(self.faults), "PYTHONPATH": path}
        if flavour == "memory":
            env["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] = MEMORY
        if postgres:
            self._base = f"site_{uuid.uuid4().hex}"
            env[URL] = postgres.url(self._base)
        (self.faults / "points.json").write_text(json.dumps({**(points or {})}))
        # Not forked: `crash` is installed when a program starts, and in forks for one run alone.
        self.setup = LocalSetup(home, env=env, warm=flavour == "warm", forked=False)
        self.api = httpx.Client(headers=self.setup.prefect.headers(), trust_env=False)
        self._plan: dict[str, list[dict[str, Any]]] = {}
        self._key: dict[str, str] = {}
        self._watch: Watch | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, name=f"watch {home.name}", daemon=True)
        self._deployment = ""

    def __repr__(self) -> str:
        return f"<Site {self.home.name} {self.setup!r}>"

    def __enter__(self) -> Self:
        self.write_plan()
        self.config.write_text("")
        if self._postgres:
            self._postgres.database(self._base)
        elif self._database:
            place_database(self._database, self.home)
        try:
            self.setup.start_server()
            self.setup.wait_for_server(timeout=PATIENT)
            self.setup.start_workers()
            if not self._deployed:
                self.setup.deploy()
            self._only_upkeep()
            self.setup.wait_for_workers(timeout=PATIENT)
            self.watch_anew()
            self._thread.start()
        except BaseException:
            self.setup.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self.setup.stop()
        self.api.close()

    def abandon(self) -> None:
        """Stop everything at once and for good, from another thread."""
        self._watch = None
        self._stopping.set()
        self.setup.stop()

    def watch_anew(self) -> None:
        """Forget earlier deaths: programs die here far more often than `Watch` considers healthy."""
        self._drop_scheduled()
        self._note_worker()
        if self._stopping.is_set():
            return
        self._watch = Watch(self.setup.programs, lambda _line: None)

    def _look(self) -> None:
        while not self._stopping.wait(LOOK):
            if watch := self._watch:
                watch.look()
            self._note_worker()

    def _note_worker(self) -> None:
        aside = self.faults / f"worker.{threading.get_ident()}.new"  # cases begin beside the watching
        aside.write_text(str(self.setup.workers[0].pid))
        aside.replace(self.faults / "worker.pid")

    # -- runs ---------------------------------------------------------------------------------------------

    def start_run(
        self,
        request: dict[str, Any],
        steps: list[Step],
        tags: list[str],
        queue: str = "",
        parameters: dict[str, Any] | None = None,
        at: datetime | None = None,
    ) -> str:
        """Start a run for a program, with its steps in place before its process can start."""
        body: dict[str, Any] = {"parameters": {"request": request, **(parameters or {})}, "tags": tags}
        details = {"state_details": {"scheduled_time": at.isoformat()}} if at else {}
        body |= {"state": {"type": "SCHEDULED", **details}, **({"work_queue_name": queue} if queue else {})}
        run_id: str = self.rest("POST", f"/deployments/{self._deployment}/create_flow_run", body)["id"]
        self.plan(run_id, steps)
        return run_id

    def start_warm(self, request: dict[str, Any], steps: list[Step]) -> str:
        """Start a run in the warm process, as an alert does."""
        at = datetime.now(UTC) + HEAD_START
        run_id = self.start_run(request, steps, ["alert"], "alerts", at=at)
        self.api.post(f"http://127.0.0.1:{self.setup.warm_runner_port}/runs/{run_id}", timeout=10)
        return run_id

    def is_warm(self, run_id: str) -> bool:
        """Whether the warm process, and no worker, has taken the run."""
        return not (self.faults / f"{run_id}.pid").exists()

    def start_terminal(
        self, arguments: Sequence[str], steps: list[Step], *, tty: bool
    ) -> tuple[Terminal, str]:
        """Start `edgecap capture ...` with this site's server; return it and the key of its steps."""
        key = f"terminal-{uuid.uuid4().hex}"
        self.plan(key, steps)
        return self.edgecap(arguments, tty=tty, env={"EDGECAP_FAULTS_KEY": key}), key

    def edgecap(
        self, arguments: Sequence[str], *, tty: bool = False, env: Mapping[str, str] | None = None
    ) -> Terminal:
        """Run a command of edgecap as somebody on this machine would."""
        return Terminal(arguments, {**self.setup.env, "EDGECAP_HOME": str(self.home), **(env or {})}, tty=tty)

    def run_of(self, key: str, since: datetime) -> str:
        """The run that a terminal has started; empty before that."""
        wanted = {
            "flow_runs": {
                "deployment_id": {"is_null_": True},
                "expected_start_time": {"after_": since.isoformat()},
            },
            "flows": {"name": {"any_": ["capture"]}},
        }
        found = self.rest("POST", "/flow_runs/filter", wanted)
        if found:
            self._key[found[0]["id"]] = key
        return found[0]["id"] if found else ""

    def plan(self, key: str, steps: Sequence[Step]) -> None:
        """Set the steps of a run's processes."""
        self._plan[key] = [asdict(step) for step in steps]
        if key == ANY:
            for number in range(9):
                (self.faults / f"{ANY}.{number}").unlink(missing_ok=True)
        self.write_plan()

    def write_plan(self) -> None:
        """Write the steps where the processes of runs read them."""
        aside = self.faults / "plan.new"
        aside.write_text(json.dumps(self._plan))
        aside.replace(self.faults / "plan.json")

    def struck(self, run_id: str, *, deadly: bool = False) -> list[float]:
        """When each step of the run, or each killing step, happened, in seconds since 1970."""
        key, times = self._key.get(run_id, run_id), []
        for number, step in enumerate(self._plan.get(key, ())):
            if not deadly or step["do"] not in GENTLE:
                with contextlib.suppress(FileNotFoundError, ValueError):
                    times.append(float((self.faults / f"{key}.{number}").read_text()))
        return times

    def let_go(self, run_id: str, number: int = 0) -> None:
        """Let a run that waits at a step go on."""
        (self.faults / f"{self._key.get(run_id, run_id)}.{number}.go").touch()

    def kill(self, run_id: str, *, worker: bool = False) -> float | None:
        """Kill the run's process, after the worker if told; return when, or None if there is no process."""
        now = time.time()
        if worker:
            self.kill_worker()
        try:
            os.kill(int((self.faults / f"{self._key.get(run_id, run_id)}.pid").read_text()), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return now

    def has_process(self, run_id: str) -> bool:
        """Whether a process of its own works on the run."""
        try:
            pid = int((self.faults / f"{self._key.get(run_id, run_id)}.pid").read_text())
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ValueError):
            return False

    def kill_worker(self) -> float:
        """Kill the worker alone, which the watch starts again; return when."""
        now = time.time()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int((self.faults / "worker.pid").read_text()), signal.SIGKILL)
        return now

    def kill_warm(self) -> float:
        """Kill the warm process, which the watch starts again; return when."""
        now = time.time()
        assert self.setup.warm_runner
        assert self.setup.warm_runner.pid
        os.kill(self.setup.warm_runner.pid, signal.SIGKILL)
        return now

    def kill_server(self) -> None:
        """Kill the Prefect server, which the watch starts again."""
        assert self.setup.server.pid
        os.kill(self.setup.server.pid, signal.SIGKILL)

    @contextlib.contextmanager
    def without_server(self) -> Iterator[None]:
        """The Prefect server is down in the block; the watch does not start it."""
        self._watch = None
        self.setup.server.stop(grace=0)
        try:
            yield
        finally:
            if not self._stopping.is_set():
                self.setup.server.start()
                self.wait_for_server(seconds=PATIENT)
                self.watch_anew()

    @contextlib.contextmanager
    def without_worker(self) -> Iterator[None]:
        """The worker is dead in the block."""
        self._watch = None
        self.kill_worker()
        try:
            yield
        finally:
            if not self._stopping.is_set():
                self.setup.workers[0].stop()
                self.setup.workers[0].start()
                self.watch_anew()

    def wait_for_server(self, *, seconds: float = 90.0) -> None:
        """Return when the server answers again.

        Raises:
            SetupError: it does not.
        """
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if self.api.get(f"{self.setup.api_url}/health", timeout=2).is_success:
                    return
            if time.monotonic() > deadline:
                raise SetupError(f"the Prefect server did not come back: {self.setup.server.last_line()}")
            time.sleep(0.2)

    def lock_database(self, seconds: float) -> None:
        """Lock Prefect's database for some seconds."""
        if self._postgres:
            self._postgres.lock(self._base, seconds)
            return
        base = sqlite3.connect(self.setup.home / "prefect" / "prefect.db", timeout=30, isolation_level=None)
        try:
            base.execute("BEGIN EXCLUSIVE")
            time.sleep(seconds)
            base.execute("ROLLBACK")
        finally:
            base.close()

    def cancel(self, run_id: str) -> None:
        """Cancel the run as the UI's button does."""
        self.rest("POST", f"/flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLING"}})

    def state(self, run_id: str) -> State:
        """The run's state now."""
        return _state(self.rest("GET", f"/flow_runs/{run_id}")["state"])

    def history(self, run_id: str) -> list[State]:
        """All states that the run has had, in order."""
        found = self.rest("GET", f"/flow_run_states/?flow_run_id={run_id}")
        return sorted((_state(each) for each in found), key=lambda state: state.at)

    def holders(self, kind: str, lanes: str) -> int:
        """The number of holders of the lane's slot. `lanes` is the key of the account's lanes."""
        try:
            answer = self.api.get(
                f"{self.setup.api_url}/v2/concurrency_limits/edgecap_{kind}_{lanes}", timeout=5
            )
        except httpx.HTTPError:
            return -1
        if answer.status_code == httpx.codes.NOT_FOUND:
            return 0
        return int(answer.json()["active_slots"]) if answer.is_success else -1

    def reconciling(self, *, before: float) -> list[str]:
        """The states of runs of `reconcile` that started before, and are not over."""
        wanted = {
            "flow_runs": {
                "state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}},
                "expected_start_time": {"before_": datetime.fromtimestamp(before, UTC).isoformat()},
            },
            "flows": {"name": {"any_": [UPKEEP]}},
        }
        return [run["state"]["name"] for run in self.rest("POST", "/flow_runs/filter", wanted)]

    def give_up(self, run_ids: list[str]) -> None:
        """End the runs that a failed case has left, so that the next case is alone."""
        for run_id in run_ids:
            with contextlib.suppress(httpx.HTTPError, KeyError):
                if self.state(run_id).type not in OVER:
                    state = {"type": "CANCELLED", "message": "the case is over"}
                    self.rest("POST", f"/flow_runs/{run_id}/set_state", {"state": state, "force": True})
            self.kill(run_id)

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        """One call of Prefect's API. It waits for the server, which may be dead on purpose."""
        deadline = time.monotonic() + PATIENT
        while True:
            try:
                answer = self.api.request(method, f"{self.setup.api_url}{path}", json=body, timeout=60)
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                    answer.raise_for_status()
                    return answer.json() if answer.content else None
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    def _drop_scheduled(self) -> None:
        """Delete runs that the scheduler made for other schedules before they were off."""
        wanted = {
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}, "tags": {"all_": ["auto-scheduled"]}},
            "flows": {"name": {"any_": ["capture"]}},
        }
        for run in self.rest("POST", "/flow_runs/filter", wanted):
            self.rest("DELETE", f"/flow_runs/{run['id']}")

    def _only_upkeep(self) -> None:
        """Turn off all schedules but that of `reconcile`, and wait for the end of its first run."""
        for deployment in self.rest("POST", "/deployments/filter", {}):
            flow = self.rest("GET", f"/flows/{deployment['flow_id']}")["name"]
            if (flow, deployment["name"]) == ("capture", "capture-by-program"):
                self._deployment = deployment["id"]
            if flow != UPKEEP:
                for schedule in deployment["schedules"]:
                    self.rest(
                        "PATCH",
                        f"/deployments/{deployment['id']}/schedules/{schedule['id']}",
                        {"active": False},
                    )


def _state(raw: dict[str, Any]) -> State:
    return State(raw["type"], raw["name"], raw["message"] or "", datetime.fromisoformat(raw["timestamp"]))


def deploy_once(setup: LocalSetup) -> None:
    """Put the deployments into a setup's database, which sites start with copies of.

    Raises:
        SetupError: its server does not start, or refuses one.
    """
    setup.start_server()
    try:
        setup.wait_for_server(timeout=PATIENT)
        with PrefectApi(setup.prefect) as prefect:
            prefect.make_pool(POOL, QUEUES, TEMPLATE)
        setup.deploy()
    finally:
        setup.stop()
    file = setup.home / "prefect" / "prefect.db"
    if file.exists():  # only this file is copied
        base = sqlite3.connect(file)
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        base.close()
