"""The fork server with all that a run imports. A run without a valid id ends as soon as it has begun."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deployments.fork.protocol import FORK_SERVER
from deployments.project import PROJECT
from tests.deployments.conftest import until


@pytest.fixture(scope="module")
def server():
    """The environment of its clients, and its log."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("EDGECAP_", "PREFECT_"))
    }
    with tempfile.TemporaryDirectory(prefix="edgecap-fork-") as folder:
        env = {**kept, FORK_SERVER: f"{folder}/s.socket", "PREFECT_HOME": folder, "NO_COLOR": "1"}
        log = Path(folder, "log")
        with log.open("w") as said:
            argv = [sys.executable, "-m", "deployments.fork_server"]
            process = subprocess.Popen(argv, env=env, stderr=said)
        until(Path(env[FORK_SERVER]).exists)
        yield env, log
        process.terminate()
        process.wait()


def said(module, env, *arguments):
    """The exit code of a program, and what it says."""
    argv = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=240)
    return done.returncode, done.stdout + done.stderr


def test_a_fork_does_what_a_new_process_does(server):
    env, log = server
    for module in ("deployments.run", "prefect.engine"):
        code, lines = said(module, env, "no-id")
        assert code == 1
        assert re.search(
            r"Invalid flow run id. Received arguments: \['.*/prefect/engine.py', 'no-id'\]", lines
        )
    assert log.read_text() == "", "it was refused"


def test_prefect_s_settings_are_those_of_the_client(server):
    env, log = server
    assert said("deployments.run", {**env, "PREFECT_LOGGING_LEVEL": "CRITICAL"}, "no-id") == (1, "")
    pattern = {"PREFECT_LOGGING_FORMATTERS_STANDARD_FORMAT": "client: %(message)s"}
    assert "client: Invalid flow run id" in said("deployments.run", {**env, **pattern}, "no-id")[1]
    assert log.read_text() == "", "it was refused"


def test_no_fork_has_to_complete_a_model(server, tmp_path):
    env, _ = server
    (tmp_path / "models.py").write_text(
        "from prefect.client.schemas.objects import FlowRun\n"
        "from prefect.client.schemas.actions import ArtifactCreate\n"
        "print(FlowRun.__pydantic_complete__, ArtifactCreate.__pydantic_complete__)"
    )
    argv = [sys.executable, "-m", "deployments.run", "-m", "models"]
    assert subprocess.check_output(argv, env=env, cwd=tmp_path, text=True) == "True True\n"


@pytest.mark.parametrize("with_server", [True, False])
def test_a_module_runs_as_python_runs_it(with_server, server, tmp_path):
    """The programs of a setup start so; also without a fork server, only slower."""
    env, _ = server
    (tmp_path / "shown.py").write_text(
        "import os, pathlib, sys\n"
        "print(__name__, sys.argv[1:], sys.path[0], os.getcwd())\n"
        "print(pathlib.Path('/proc/self/comm').read_text(), file=sys.stderr)\n"
        "sys.exit(7)\n"
    )
    argv = [sys.executable, "-m", "deployments.run", "-m", "shown", "--of", "it"]
    env = {**env, "PYTHONPATH": str(PROJECT)} if not with_server else env
    done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, f"__main__ ['--of', 'it'] {tmp_path} {tmp_path}\n")
    assert (done.stderr.strip() == "shown") == with_server, "`ps` tells it from runs"
