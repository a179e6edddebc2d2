"""Everything on one machine: a Prefect server, a worker, and the deployments of `prefect.yaml`."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from deployments.fork.protocol import FORK_SERVER, SUFFIX
from deployments.local.processes import (
    LOOPBACK,
    MARK,
    Program,
    Stoppable,
    answers,
    check_port,
    free_port,
    kill_marked,
)
from deployments.project import PROJECT
from edgecap.errors import SetupError
from edgecap.files.private_folder import private_folder
from edgecap.network import prefect_api_url
from tasks.runtime.lane_waiters import WORK_QUEUES
from tasks.runtime.prefect_names import FILE_LEASES
from tasks.runtime.rest import PrefectApi
from tasks.runtime.warm_runner import ADDRESS

PORT = 4200  # of `edgecap up`, unless it gets another; Prefect's own default
POOL = "edgecap"
QUEUES = {queue: number for number, queue in enumerate(WORK_QUEUES, 1)}  # Prefect keeps no two alike
RUNNING = "running.json"
OF_RUNS = {
    # Heartbeats come as often as Prefect allows: when they stop, the run has died with its machine.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    # Results are on disk: a run that is taken up again repeats nothing.
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
    # A server on PostgreSQL answers 500 if its database is locked for more than ten seconds. By itself
    # Prefect retries only 429, 502 and 503: a run failed that had just archived its packets.
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "DO_NOT_TRACK": "1",
    # `python -m` would import `flows` and `tasks` from the current folder, which may be another project's.
    "PYTHONSAFEPATH": "1",
}
"""The environment of workers and their runs, whichever Prefect server they have."""
FORKED = ("deployments.run", "-m")  # before a module that is to be forked


def prefect_settings(home: Path, port: int) -> dict[str, str]:
    """The environment in which the server, the worker and every client of theirs run.

    Args:
        home: folder for Prefect's own state.
        port: where the server listens.
    """
    return {
        **OF_RUNS,
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_PROFILES_PATH": str(home / "prefect" / "profiles.toml"),  # never a person's own profile
        "PREFECT_API_URL": f"http://{LOOPBACK}:{port}/api",
        "PREFECT_SERVER_API_HOST": LOOPBACK,
        "PREFECT_SERVER_API_PORT": str(port),
        # With leases in memory, a server that is restarted leaks every slot that was held.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": FILE_LEASES,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        # Many runs that start at once are no problem, but marking each of them late makes SQLite refuse other
        # writes.
        "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "180",
        # A transaction for many events, instead of one for each event of a task: that was a third of all.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
        # Each client would ask for both before its first request. But server and clients are one
        # installation, and this server has no CSRF protection.
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
        # Logs are plain text.
        "PREFECT_CLI_COLORS": "false",
        "NO_COLOR": "1",
    }


class LocalSetup(Stoppable):
    """A Prefect server and workers, each a program of its own, all of which are stopped at the end.

    Args:
        home: folder for state and logs.
        env: further variables of the worker, and so of every flow run: accounts, buckets, archives.
        port: of the Prefect server; a free one if 0.
        workers: how many worker processes.
        limit: flow runs at a time in each worker.
        warm: whether a warm process for alerts runs, too.
        forked: whether these programs are forks, as runs are, and share memory.
    """

    def __init__(
        self,
        home: Path,
        *,
        env: Mapping[str, str] | None = None,
        port: int = 0,
        workers: int = 1,
        limit: int = 8,
        warm: bool = False,
        forked: bool = True,
    ) -> None:
        self.home = home
        self.port = port or free_port()
        self.mark = uuid.uuid4().hex
        # Runs are started with the `python` of the path: the one that has edgecap.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        self.env = {**prefect_settings(home, self.port), MARK: self.mark, "PATH": path, **(env or {})}
        # Prefect's runner keeps a folder with a fixed name in the temporary one, which is the first user's.
        self.env["TMPDIR"] = str(private_folder("edgecap-prefect"))
        self.env[FORK_SERVER] = str(private_folder("edgecap-fork") / f"{self.mark}{SUFFIX}")
        self.limit = limit
        fork = FORKED if forked else ()
        self.fork_server = self.program("fork-server", "deployments.fork_server")
        self.warm_runner: Program | None = None
        if warm:
            self.warm_runner_port = free_port()
            self.env[ADDRESS] = f"http://{LOOPBACK}:{self.warm_runner_port}"
            self.warm_runner = self.program("warm-runner", *fork, "deployments.warm_runner")
        self.canceller = self.program("canceller", *fork, "deployments.canceller")
        self.server = self.program(
            "prefect-server", "deployments.local.prefect_server",
            "server", "start", "--host", LOOPBACK, "--port", str(self.port),
        )  # fmt: skip
        # Its threads, one for each connection to the database, take turns anyway: 8 MB less.
        self.server.env["MALLOC_ARENA_MAX"] = "2"
        self.workers = [
            self.program(
                f"worker-{number}", *fork, "deployments.local.mended_worker", "worker", "start",
                "--pool", POOL, "--type", "process", "--name", f"edgecap-{number}", "--limit", str(limit),
            )
            for number in range(1, workers + 1)
        ]  # fmt: skip

    def __repr__(self) -> str:
        return f"<LocalSetup {self.ui_url} [{self.server!r}, {', '.join(map(repr, self.workers))}]>"

    @property
    def api_url(self) -> str:
        """The Prefect server's API."""
        return f"http://{LOOPBACK}:{self.port}/api"

    @property
    def ui_url(self) -> str:
        """The Prefect server's pages."""
        return f"http://{LOOPBACK}:{self.port}"

    def program(self, name: str, module: str, *arguments: str) -> Program:
        """A program of this setup that runs a Python module; not yet started."""
        log = self.home / "logs" / f"{name}.log"
        return Program(
            name, [sys.executable, "-m", module, *arguments], log=log, env=self.env, folder=PROJECT
        )

    def start_server(self) -> None:
        """Start the Prefect server without waiting for it.

        Raises:
            SetupError: its port is taken.
        """
        check_port(self.port, hint="stop what listens there, or give another --port")
        (self.home / "prefect").mkdir(parents=True, exist_ok=True)
        self.server.start()

    def start_fork_server(self) -> None:
        """Start what forks the other programs and the runs; it takes seconds of importing."""
        self.fork_server.start()

    def wait_for_server(self, *, timeout: float = 90.0, tell: Callable[[str], None] | None = None) -> None:
        """Return when the server answers.

        Args:
            timeout: seconds for which it may stand still.
            tell: called with a line now and then, if it takes long.

        Raises:
            SetupError: it ended, or stands still and does not answer.
        """
        self.server.wait_ready(self._healthy, timeout=timeout, tell=tell)

    def start_workers(self) -> None:
        """Make the pool and its queues; start the workers and the programs beside them."""
        with PrefectApi(self.api_url) as prefect:
            prefect.make_pool(POOL, QUEUES)
        if not self.fork_server.running:
            self.start_fork_server()
        # The others are its forks, and share its memory. They also start without it.
        with suppress(SetupError):
            self.fork_server.wait_ready(Path(self.env[FORK_SERVER]).exists)
        for program in filter(None, [*self.workers, self.warm_runner, self.canceller]):
            program.start()

    def deploy(
        self, file: Path | None = None, *, reset: bool = False, tell: Callable[[str], None] | None = None
    ) -> str:
        """Bring the deployments to what `prefect.yaml` says, and say in a line what was done.

        Args:
            file: a person's own `prefect.yaml`; None for edgecap's.
            reset: undo what people set in the UI.
            tell: called with a line now and then, if it takes long.

        Raises:
            SetupError: the file is wrong or missing, or Prefect refuses a deployment.
        """
        program = self.program("deploy", "deployments.deploy.deployer", *_deployer_options(file, reset=reset))
        program.run(timeout=120, tell=tell)
        return program.last_line()

    def wait_for_workers(self, *, timeout: float = 60.0, tell: Callable[[str], None] | None = None) -> None:
        """Return when every worker has reported to the server.

        Args:
            timeout: seconds for which one may stand still.
            tell: called with a line now and then, if it takes long.

        Raises:
            SetupError: one ended, or stands still and does not report.
        """
        for number, worker in enumerate(self.workers, 1):
            name = f"edgecap-{number}"
            worker.wait_ready(partial(self._reported, name), timeout=timeout, tell=tell)
        if self.warm_runner:
            self.warm_runner.wait_ready(lambda: answers(self.warm_runner_port), timeout=timeout, tell=tell)

    def announce(self) -> None:
        """Write a file into the state folder, by which other commands find this setup while it runs."""
        word = {"api_url": self.api_url, "ui_url": self.ui_url, "pid": os.getpid()}
        word[FORK_SERVER] = self.env[FORK_SERVER]
        (self.home / RUNNING).write_text(json.dumps(word) + "\n")

    def stop(self) -> None:
        """Stop everything, flow runs too."""
        (self.home / RUNNING).unlink(missing_ok=True)
        for program, grace in self._graces():
            program.stop(grace=grace)
        kill_marked(self.mark)

    @property
    def longest_stop(self) -> float:
        """Seconds that `stop` may wait for the programs to end."""
        return sum(grace for _, grace in self._graces())

    def _graces(self) -> list[tuple[Program, float]]:
        """The programs in the order in which they are stopped, and the seconds that each may take."""
        runners = [*self.workers, *filter(None, [self.warm_runner])]
        return [
            *((each, 3.0) for each in runners),
            (self.fork_server, 1.0),
            (self.canceller, 1.0),
            (self.server, 3.0),
        ]

    def failed(self) -> Program | None:
        """A program that should run and does not."""
        return next((p for p in self.programs if p.pid and not p.running), None)

    @property
    def programs(self) -> list[Program]:
        """The programs that should run."""
        more = filter(None, [self.warm_runner])
        return [self.server, self.fork_server, *self.workers, *more, self.canceller]

    def _healthy(self) -> bool:
        try:
            return (
                httpx.get(f"{self.api_url}/health", timeout=2, trust_env=False).status_code == httpx.codes.OK
            )
        except httpx.HTTPError:
            return False

    def _reported(self, worker: str) -> bool:
        try:
            answer = httpx.post(
                f"{self.api_url}/work_pools/{POOL}/workers/filter", json={}, timeout=5, trust_env=False
            )
            return any(known["name"] == worker and known["status"] == "ONLINE" for known in answer.json())
        except (httpx.HTTPError, ValueError):
            return False


def check_own_file(file: Path | None) -> None:
    """Raise SetupError if the setting `prefect_yaml` names a file that does not exist."""
    if file and not file.is_file():
        raise SetupError(
            "the file that the setting prefect_yaml names does not exist",
            where=str(file),
            hint="edgecap deploy --print writes one to start from",
        )


def _deployer_options(file: Path | None, *, reset: bool) -> list[str]:
    check_own_file(file)
    return [*(["--reset"] if reset else []), *([str(file.resolve())] if file else [])]


def deploy_to(
    api_url: str,
    *,
    log: Path,
    file: Path | None = None,
    reset: bool = False,
    tell: Callable[[str], None] | None = None,
) -> str:
    """Make the work pool, its queues and the deployments of a `prefect.yaml` on a Prefect server.

    Args:
        api_url: the server's API.
        log: where each deployment that is new or changed is named.
        file: a person's own `prefect.yaml`; None for edgecap's.
        reset: undo what people set in the UI.
        tell: called with a line now and then, if it takes long.

    Returns:
        A line that says what was done.

    Raises:
        SetupError: the server does not answer, or refuses one; or there is no such file.
    """
    options = _deployer_options(file, reset=reset)
    with PrefectApi(api_url) as prefect:
        prefect.check()
        prefect.make_pool(POOL, QUEUES)
    command = [sys.executable, "-m", "deployments.deploy.deployer", *options]
    program = Program("deploy", command, log=log, env={"PREFECT_API_URL": api_url}, folder=PROJECT)
    program.run(timeout=120, tell=tell)
    return program.last_line()


def running_setup(home: Path) -> dict[str, Any] | None:
    """What `announce` wrote of the setup that runs with the state folder `home`, or None."""
    try:
        word: dict[str, Any] = json.loads((home / RUNNING).read_text())
        os.kill(int(word["pid"]), 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return word


def prefect_address(home: Path) -> str:
    """The address of Prefect's API: `PREFECT_API_URL`, else that of the setup in `home`, else empty.

    Raises:
        ConfigError: `PREFECT_API_URL` is not a valid URL.
    """
    setup = running_setup(home)
    return prefect_api_url() or (str(setup["api_url"]) if setup else "")


def named_server(hint: str) -> str:
    """The Prefect API that `PREFECT_API_URL` names.

    Args:
        hint: what to do besides setting it, for the error.

    Raises:
        SetupError: it is not set.
        ConfigError: it is not a valid URL.
    """
    if address := prefect_api_url():
        return address
    raise SetupError("no Prefect server is named", where="PREFECT_API_URL", hint=f"set it; {hint}")
