"""A temporary PostgreSQL for Prefect servers: Debian's, in a folder that is removed at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Self

from deployments.local.processes import LOOPBACK, Program, answers, free_port
from deployments.local.setup import LocalSetup
from edgecap.errors import SetupError

USER = "postgres"  # it refuses to run as root
URL = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
_TEMPLATE = "prefect_template"


def programs() -> Path | None:
    """The folder of Debian's newest PostgreSQL, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class Postgres:
    """`with Postgres() as base:` and `base.database("one")` is an up-to-date database of Prefect's.

    Args:
        durable: sync to the disk, as a real server does. A temporary database can do without.

    Raises:
        SetupError: when entered, if PostgreSQL is not installed or does not start.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="edgecap-postgres-"))
        self._as: list[str] = []
        self._program: Program | None = None

    def __repr__(self) -> str:
        return f"<Postgres {LOOPBACK}:{self.port} {self._program!r}>"

    def __enter__(self) -> Self:
        home = programs()
        if home is None:
            raise SetupError("PostgreSQL is not installed", hint="`make faults` installs Debian's package")
        if os.getuid() == 0:
            shutil.chown(self._folder, USER, USER)
            self._as = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "--"]
        data = self._folder / "data"
        subprocess.run(
            [*self._as, str(home / "initdb"), "-D", data, "-U", USER, "-A", "trust", "-N", "-E", "UTF8"],
            check=True,
            capture_output=True,
            cwd="/",
        )
        fast = [] if self._durable else ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        options = ["max_connections=400", *fast]
        argv = [*self._as, str(home / "postgres"), "-D", str(data), "-p", str(self.port), "-h", LOOPBACK]
        argv += ["-k", str(self._folder), *(part for option in options for part in ("-c", option))]
        self._program = Program("postgres", argv, log=self._folder / "postgres.log", folder=Path("/"))
        self._program.start()
        self._program.wait_ready(lambda: answers(self.port), timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        if self._program:
            self._program.stop(grace=3)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The id of its first process; the other processes are its children."""
        return self._program.pid if self._program and self._program.pid else 0

    def url(self, name: str) -> str:
        """The URL by which Prefect connects to a database of this server."""
        return f"postgresql+asyncpg://{USER}@{LOOPBACK}:{self.port}/{name}"

    def prepare(self, home: Path, deploy_once: Callable[[LocalSetup], None], *, timeout: float = 300) -> None:
        """Make the database that all others are copied from, with the deployments.

        Raises:
            SetupError: Prefect does not make it within `timeout` seconds, or refuses a deployment.
        """
        self._sql(f'CREATE DATABASE "{_TEMPLATE}"')
        setup = LocalSetup(home, env={URL: self.url(_TEMPLATE)})
        (home / "prefect").mkdir(parents=True)
        setup.program("database", "prefect", "server", "database", "upgrade", "--yes").run(timeout=timeout)
        deploy_once(setup)

    def new(self, name: str) -> str:
        """A new and empty database; its URL."""
        self._sql(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def database(self, name: str) -> str:
        """Make a migrated database; return its URL."""
        self._sql(f'CREATE DATABASE "{name}" TEMPLATE "{_TEMPLATE}"')
        return self.url(name)

    def lock(self, name: str, seconds: float) -> None:
        """Lock the table of runs for some seconds."""
        self._sql(f"BEGIN; LOCK TABLE flow_run IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({seconds})", name)

    def _sql(self, text: str, name: str = USER) -> None:
        home = programs()
        assert home
        command = [
            str(home / "psql"),
            "-h",
            LOOPBACK,
            "-p",
            str(self.port),
            "-U",
            USER,
            "-d",
            name,
            "-q",
            "-c",
            text,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SetupError(f"PostgreSQL refuses: {done.stderr.strip()}", where=text)
