"""What edgecap writes is for its user alone, whatever the shell's umask is."""

import json
import os
import stat
import subprocess
import sys

import pytest

from deployments.fork.protocol import FORK_SERVER
from deployments.local.processes import Program
from deployments.local.setup import LocalSetup


@pytest.fixture
def wide(monkeypatch):
    """The umask of most shells, or a careless one."""
    before = os.umask(0o002)
    yield
    os.umask(before)


def readable(folder):
    """The files and folders below one that other users could read or change."""
    return [
        path
        for path in folder.rglob("*")
        if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]


def test_a_program_of_a_setup_and_its_log(tmp_path, wide):
    write = "from pathlib import Path; Path('made').mkdir(); Path('made/file').write_text('x'); print('said')"
    Program("trial", [sys.executable, "-c", write], log=tmp_path / "logs" / "log", folder=tmp_path).run()
    assert readable(tmp_path) == []
    assert (tmp_path / "logs" / "log").read_text() == "said\n"


@pytest.mark.prefect
def test_a_state_folder_is_closed_to_others(tmp_path, wide):
    """Also one of an earlier release, whose files others could read."""
    home = tmp_path / "home"
    (home / "prefect").mkdir(parents=True)
    (home / "prefect" / "prefect.db").touch()
    with LocalSetup(home) as setup:
        setup.start_server()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_packets_of_a_command(shell, edge, store, wide):
    """Its archive, and a copy elsewhere."""
    done = shell.run("capture", "simple", "--seconds", "5", "--json")
    assert done.returncode == 0, done.stderr
    copied = shell.run("get", json.loads(done.stdout)["id"], "copied.pcapng")
    assert copied.returncode == 0, copied.stderr
    assert readable(shell.folder / "archive") == []
    assert stat.S_IMODE((shell.folder / "copied.pcapng").stat().st_mode) == 0o600


_SHOWS_UMASK = """
import os, sys
from deployments import run
run.os.execv = lambda *_: print(oct(os.umask(0)))
run.main()
"""


@pytest.mark.parametrize(("arguments", "mask"), [([], "0o77"), (["-m", "other"], "0o2")])
def test_a_run_s_process_whatever_worker_started_it(wide, arguments, mask):
    """Prefect's own worker starts the pool's command with the umask of its shell."""
    env = {name: value for name, value in os.environ.items() if name != FORK_SERVER}
    argv = [sys.executable, "-c", _SHOWS_UMASK, *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=env)
    assert done.stdout.strip() == mask
