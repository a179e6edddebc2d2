"""A small fork server, and its clients: real processes."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deployments.fork.protocol import FORK_SERVER
from deployments.project import PROJECT
from tests.deployments.conftest import until

SMALL = "tests.deployments.fork.small_server"
FRESH = "print('a new process')"  # the `prefect.engine` of these tests


@dataclass
class Setup:
    """A folder for a server, and the environment of the server and its clients."""

    folder: Path
    env: dict = field(default_factory=dict)
    server: subprocess.Popen | None = None

    def __post_init__(self):
        engine = self.folder / "engine" / "prefect"
        engine.mkdir(parents=True)
        (engine / "__init__.py").touch()
        (engine / "engine.py").write_text(FRESH)
        self.code = self.folder / "code"
        self.code.mkdir()
        (self.code / "of_the_server.py").write_text("VERSION = 1")
        self.sockets = Path(tempfile.mkdtemp(prefix="edgecap-fork-"))  # pytest's own folders are private
        self.place(self.sockets / "s.socket")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGECAP_")}
        kept.pop("PYTHONUNBUFFERED", None)
        path = os.pathsep.join([str(engine.parent), str(PROJECT)])
        self.env = {**kept, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **self.env}

    def place(self, socket):
        """Set where the server listens."""
        self.socket = socket
        self.env[FORK_SERVER] = str(socket)

    def start(self, *more):
        """Start the server, and return when it listens."""
        argv = [sys.executable, "-m", SMALL, str(self.code), *more]
        self.log = (self.folder / "log").open("a")
        self.server = subprocess.Popen(argv, env=self.env, cwd=PROJECT, stderr=self.log)
        until(self.socket.exists)
        return self

    def client(self, code, *, env=None, cwd=None, **more):
        """Start a client whose process runs the code."""
        argv = [sys.executable, "-m", "deployments.run", code]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            argv, env={**self.env, **(env or {})}, cwd=cwd or self.folder, text=True, **{**pipes, **more}
        )

    def run(self, code, **more):
        """What the client's process says."""
        client = self.client(code, **more)
        said, errors = client.communicate(timeout=60)
        assert client.returncode == 0, errors
        return said.strip()

    def children(self):
        """The states of the server's children, by id."""
        found = {}
        for pid in Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text().split():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except FileNotFoundError:
                continue
            found[int(pid)] = fields[0]
        return found

    @property
    def said(self):
        """What the server wrote."""
        return (self.folder / "log").read_text()

    def stop(self):
        """End the server."""
        if self.server:
            self.server.kill()
            self.server.wait()
            self.log.close()

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.sockets)

    def __enter__(self):
        return self


@pytest.fixture
def setup(tmp_path):
    """Without a server."""
    with Setup(tmp_path) as setup:
        yield setup


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """With a server, for all tests of a module."""
    with Setup(tmp_path_factory.mktemp("served")) as setup:
        yield setup.start()


def lives(pid):
    """Whether a process goes on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
