"""The worker's program looks after the canceller and the fork server; all of it real processes."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from deployments.fork.protocol import FORK_SERVER
from deployments.local.worker import command


def wait_for(what):
    deadline = time.monotonic() + 240
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def children(parent, module):
    """The processes of a program whose parent is the given one."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):  # it has ended meanwhile, or is no process
            of = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if of == parent and module in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def lives(pid):
    """Whether a process goes on; of one that ended and was not waited for, no command line is left."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


@pytest.fixture
def worker(tmp_path):
    """A worker at a Prefect server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent, (tmp_path / "said").open("wb") as said:
        env = {
            **os.environ,
            "PREFECT_API_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/api",
            "EDGECAP_HOME": str(tmp_path / "home"),
        }
        process = subprocess.Popen(command("mine", 1, ()), env=env, stdout=said, stderr=said)
        yield process, tmp_path / "said"
        process.kill()
        process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
@pytest.mark.parametrize(
    ("name", "module"), [("canceller", b"deployments.canceller"), ("fork-server", b"deployments.fork_server")]
)
def test_a_program_beside_it_that_dies_is_started_again(worker, name, module):
    process, said = worker
    [first] = wait_for(lambda: children(process.pid, module))
    os.kill(first, signal.SIGKILL)
    [second] = wait_for(lambda: [pid for pid in children(process.pid, module) if pid != first])
    assert second != first
    wait_for(lambda: f"edgecap: {name} started again" in said.read_text())
    assert process.poll() is None
    process.kill()
    process.wait()
    if shutil.which("setpriv"):
        wait_for(lambda: not lives(second))


@pytest.mark.skipif(sys.platform != "linux", reason="variables are looked up in /proc")
def test_the_fork_server_listens_where_the_worker_s_runs_look_for_it(worker):
    process, _ = worker
    [server] = wait_for(lambda: children(process.pid, b"deployments.fork_server"))
    variables = dict(
        entry.partition("=")[::2] for entry in Path(f"/proc/{server}/environ").read_text().split("\0")
    )
    wait_for(Path(variables[FORK_SERVER]).exists)
    assert Path(variables[FORK_SERVER]).name == f"{process.pid}.socket"
