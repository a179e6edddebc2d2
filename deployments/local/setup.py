"""Everything on one machine: a Prefect server, a worker, and the deployments of `prefect.yaml`."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx

from deployments.deploy.messages import notes, told_error
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
from deployments.local.running import RUNNING, RunningSetup, announce
from deployments.local.sign_in import sign_in_of
from deployments.local.work_pool import TEMPLATE, lets_runs_choose
from deployments.project import PROJECT
from edgecap.errors import ConfigError, SetupError
from edgecap.files.private import make_private
from edgecap.files.private_folder import private_folder
from tasks.runtime.lane_waiters import WORK_QUEUES
from tasks.runtime.prefect_names import FILE_LEASES
from tasks.runtime.prefect_server import AUTH_STRING, SERVER_AUTH_STRING, PrefectServer
from tasks.runtime.rest import PrefectApi
from tasks.runtime.warm_runner import ADDRESS

PORT = 4200  # of `edgecap up`, unless it gets another; Prefect's own default
POOL = "edgecap"
QUEUES = {queue: number for number, queue in enumerate(WORK_QUEUES, 1)}  # Prefect keeps no two alike
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
CORS = "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"
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
        # In a browser, only the server's own pages may call it, under whichever name they were opened.
        "PREFECT_UI_API_URL": "/api",
        CORS: f"http://{LOOPBACK}:{port}",
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
        self.sign_in = sign_in_of(home)
        self.env = {
            **prefect_settings(home, self.port),
            AUTH_STRING: self.sign_in.auth_string,
            SERVER_AUTH_STRING: self.sign_in.auth_string,
            MARK: self.mark,
            "PATH": path,
            **(env or {}),
        }
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
    def prefect(self) -> PrefectServer:
        """The Prefect server, with the secret to sign in."""
        return PrefectServer(self.api_url, self.sign_in.auth_string)

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
            StoreError: its secret cannot be written.
        """
        check_port(self.port, hint="stop what listens there, or give another --port")
        make_private(self.home)
        (self.home / "prefect").mkdir(exist_ok=True)
        self.sign_in.keep()
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
        with PrefectApi(self.prefect) as prefect:
            prefect.make_pool(POOL, QUEUES, TEMPLATE, replace=True)
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
            tell: called with lines that a person should read, and with one now and then if it takes long.

        Raises:
            InvalidRequest: the file is wrong.
            ConfigError: there is no such file.
            SetupError: Prefect refuses a deployment.
        """
        program = self.program("deploy", "deployments.deploy.deployer", *_deployer_options(file, reset=reset))
        return _run_deployer(program, tell)

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
        announce(
            self.home,
            RunningSetup(self.api_url, self.ui_url, self.sign_in.auth_string, self.env[FORK_SERVER]),
        )

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
            with PrefectApi(self.prefect, timeout=5, retry=False) as prefect:
                found = prefect.worker(POOL, worker)
        except SetupError:
            return False
        return found is not None and found["status"] == "ONLINE"


def check_own_file(file: Path | None) -> None:
    """Raise ConfigError if the setting `prefect_yaml` names a file that does not exist."""
    if file and not file.is_file():
        raise ConfigError(
            "the file that the setting prefect_yaml names does not exist",
            where=str(file),
            hint="docs/capture.md has an example to start from",
        )


def _deployer_options(file: Path | None, *, reset: bool) -> list[str]:
    check_own_file(file)
    return [*(["--reset"] if reset else []), *([str(file.resolve())] if file else [])]


def _run_deployer(program: Program, tell: Callable[[str], None] | None) -> str:
    try:
        program.run(timeout=120, tell=tell)
    except SetupError:
        if error := told_error(program.last_line()):
            raise error from None
        raise
    if tell:
        for line in notes(program.lines()):
            tell(line)
    return program.last_line()


def deploy_to(
    server: PrefectServer | str,
    *,
    log: Path,
    file: Path | None = None,
    reset: bool = False,
    tell: Callable[[str], None] | None = None,
) -> str:
    """Make the work pool, its queues and the deployments of a `prefect.yaml` on a Prefect server.

    Args:
        server: the server; a URL alone takes the credentials of the environment.
        log: where each deployment that is new or changed is named.
        file: a person's own `prefect.yaml`; None for edgecap's.
        reset: undo what people set in the UI.
        tell: called with lines that a person should read, and with one now and then if it takes long.

    Returns:
        A line that says what was done.

    Raises:
        InvalidRequest: the file is wrong.
        ConfigError: there is no such file.
        SetupError: the server does not answer, or refuses one.
    """
    if isinstance(server, str):
        server = PrefectServer(server)
    options = _deployer_options(file, reset=reset)
    with PrefectApi(server) as prefect:
        prefect.check()
        template = prefect.make_pool(POOL, QUEUES, TEMPLATE, replace=reset)
    if tell and lets_runs_choose(template):
        tell(
            f"The pool {POOL} lets a run choose its command: its template is Prefect's or your own. "
            "`edgecap deploy --reset` replaces it."
        )
    command = [sys.executable, "-m", "deployments.deploy.deployer", *options]
    program = Program("deploy", command, log=log, env=server.environment(), folder=PROJECT)
    return _run_deployer(program, tell)
