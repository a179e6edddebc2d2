"""A worker for your own Prefect server: checks before it starts, and the environment that it needs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from deployments.local.setup import OF_RUNS, POOL, QUEUES
from edgecap.errors import SetupError
from edgecap.files.private_folder import private_folder
from edgecap.network.environment import network_environment
from edgecap.settings import DEFAULT, FOLDER, Settings, base_folder, check_places, config_file
from edgecap.stores import open_store
from edgecap.stores.write_check import require_writable
from tasks.runtime.deployment_names import RECONCILE
from tasks.runtime.prefect_server import PrefectServer
from tasks.runtime.rest import PrefectApi, status

HEARTBEATS_MISSED = 2  # after which a worker is dead
_HEARTBEAT = 30  # seconds between two heartbeats if the server does not say: Prefect's default
_PAUSE = 1.0
# Variables of a worker, unless the environment sets them.
PREFECT = {**OF_RUNS, "PREFECT_WORKER_QUERY_SECONDS": "5"}


def check_settings(settings: Settings) -> None:
    """Refuse settings with which no run could work.

    Raises:
        ConfigError: no account or no archive is set, or one of them is wrong.
        StoreError: an archive cannot be written.
    """
    for name in settings.accounts or [DEFAULT]:
        settings.account(name)
    check_places(settings)
    for name in settings.archives or [DEFAULT]:
        require_writable(open_store(settings.archive(name)), proven_within=timedelta(0))


def check_server(server: PrefectServer) -> None:
    """Refuse a Prefect server that is not ready for workers.

    Raises:
        SetupError: it does not answer, refuses our credentials, or lacks what `edgecap deploy` makes.
    """
    with PrefectApi(server) as prefect:
        prefect.check()
        try:
            missing = [f"queue {name}" for name in sorted(set(QUEUES) - prefect.queues(POOL))]
            prefect.deployment(RECONCILE)
        except SetupError as error:
            if status(error) != httpx.codes.NOT_FOUND:
                raise
            missing = [f"pool {POOL}, or no deployment {RECONCILE}"]
        if missing:
            raise SetupError(
                f"the Prefect server has no {', no '.join(missing)}",
                where=server.api_url,
                hint="run `edgecap deploy` first, with the same PREFECT_API_URL",
            )


def claim_name(home: Path, name: str) -> tuple[int, bool]:
    """Claim a worker's name on this machine for this process, which keeps it across exec.

    Args:
        home: the setting; the lock lies there.
        name: the worker's.

    Returns:
        The lock, for `use_name`; and whether a worker with this home used the name before.

    Raises:
        SetupError: a worker with this home holds it.
    """
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    lock = home / "workers" / f"{digest}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    # The system releases the lock when this process ends, however it ends. Child processes do not inherit it.
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise _taken(name, f"it runs on this machine, from {home}") from None
    os.set_inheritable(descriptor, True)
    return descriptor, os.fstat(descriptor).st_size > 0


def use_name(lock: int, name: str) -> None:
    """Write into the lock that this worker starts under its name."""
    os.pwrite(lock, f"{name}\n".encode(), 0)


def check_name(
    server: PrefectServer,
    name: str,
    say: Callable[[str], object],
    *,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Refuse a name under which another worker sends heartbeats.

    Prefect shows a worker as online for a minute and a half after it was killed. So an old heartbeat proves
    nothing, and only a new one shows that the other worker is alive.

    Args:
        server: the Prefect server.
        name: the worker's.
        say: called with a line if the check takes time.
        sleep: waits the given number of seconds.
        clock: now, aware.

    Raises:
        SetupError: it is taken, or the server does not answer.
    """
    with PrefectApi(server) as prefect:
        last = prefect.worker(POOL, name)
        if not last or last["status"] != "ONLINE":
            return
        first = last["last_heartbeat_time"]
        wait = timedelta(seconds=HEARTBEATS_MISSED * (last.get("heartbeat_interval_seconds") or _HEARTBEAT))
        until = clock() + wait
        say(
            f"A worker called {name} sent a heartbeat at {first}; "
            f"it takes up to {wait.total_seconds():.0f} s to see whether it still runs."
        )
        while clock() < until:
            sleep(_PAUSE)
            last = prefect.worker(POOL, name)
            if last and last["last_heartbeat_time"] != first:
                raise _taken(name, f"it sent the Prefect server a heartbeat at {last['last_heartbeat_time']}")


def _taken(name: str, why: str) -> SetupError:
    # Runs that one of the two is starting would be taken for lost by a restart of the worker.
    return SetupError(
        f"a worker called {name!r} is already running: {why}", hint="give this one a name of its own, --name"
    )


def environment(settings: Settings, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker: that of this process, with the settings' places absolute.

    Args:
        settings: whose home is used.
        given: the variables of this process.

    Raises:
        ConfigError: a variable about proxies, certificates or Prefect's address cannot be used.
        StoreError: a folder or file of edgecap's cannot be made below TMPDIR.
    """
    here = {FOLDER: str(base_folder().resolve()), "EDGECAP_HOME": str(settings.home.resolve())}
    if config_file().is_file():
        here["EDGECAP_CONFIG"] = str(config_file().resolve())
    # Runs are started with the `python` of the path: the one that has edgecap.
    path = os.pathsep.join([str(Path(sys.executable).parent), given.get("PATH", os.defpath)])
    # Prefect's runner keeps a folder with a fixed name in the temporary one, which is the first user's.
    return {
        **PREFECT,
        **given,
        **network_environment(given),
        **here,
        "PATH": path,
        "TMPDIR": str(private_folder("edgecap-prefect")),
    }


def name_of(queues: Sequence[str]) -> str:
    """The default name of a worker: host, current folder, and its queues unless it takes all.

    Of two workers with one name, the later counts as a restart of the other.
    """
    return "-".join([socket.gethostname(), Path.cwd().name or "root", *sorted(set(queues))])


def command(name: str, limit: int, queues: Sequence[str]) -> list[str]:
    """Prefect's own command for a process worker, with the canceller beside it.

    Args:
        name: as the UI shows it; empty for one that Prefect chooses.
        limit: flow runs at a time.
        queues: only these; all, by their priority, if empty.
    """
    argv = [sys.executable, "-m", "deployments.local.prefect_worker"]
    argv += ["worker", "start", "--pool", POOL, "--type", "process", "--limit", str(limit)]
    if name:
        argv += ["--name", name]
    for queue in queues:
        argv += ["--work-queue", queue]
    return argv
