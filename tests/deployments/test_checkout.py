"""A flow finds the settings of the folder in which its worker was started, wherever it runs itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployments import checkout
from deployments.fork.protocol import STARTED_BY
from edgecap.settings import FOLDER, load_settings

SETTINGS = """
home = "state"
[accounts.default]
account_id = "of-the-worker"
api_token = "token"
[archives.default]
uri = "file:archive"
[receiver]
policy = "policy.toml"
"""
FLOW = """
import json, os
from deployments.checkout import enter
from edgecap.settings import load_settings
os.chdir(enter()["directory"])
settings = load_settings()
print(json.dumps({
    "account": settings.account().account_id,
    "home": str(settings.home),
    "archive": settings.archive().uri,
    "policy": str(settings.receiver.policy),
}))
"""
WORKER = """
import os, subprocess, sys
sys.exit(subprocess.run([sys.executable, "-c", sys.argv[1]], cwd=sys.argv[2]).returncode)
"""


@pytest.fixture
def found(tmp_path):
    """What a flow finds that a worker starts in a folder of its own."""
    worker, flow = tmp_path / "worker", tmp_path / "flow"
    worker.mkdir()
    flow.mkdir()
    (worker / "edgecap.toml").write_text(SETTINGS)
    (worker / "other.toml").write_text(SETTINGS.replace("of-the-worker", "of-the-other-file"))

    def run(**more):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGECAP_")}
        # The shell that started the worker may have been anywhere.
        env = {
            **kept,
            "PYTHONPATH": str(checkout.PROJECT),
            "PREFECT__FLOW_RUN_ID": "a run",
            "PWD": "/",
            **more,
        }
        argv = [sys.executable, "-c", WORKER, FLOW, str(flow)]
        done = subprocess.run(argv, cwd=worker, env=env, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    return worker, run


def test_relative_settings_count_from_the_workers_folder(found):
    worker, run = found
    assert run() == {
        "account": "of-the-worker",
        "home": f"{worker}/state",
        "archive": f"file:{worker}/archive",
        "policy": f"{worker}/policy.toml",
    }


def test_a_forked_process_asks_who_started_its_client(found, tmp_path):
    _, run = found
    other = tmp_path / "other"
    other.mkdir()
    (other / "edgecap.toml").write_text(SETTINGS.replace("of-the-worker", "of-the-other-worker"))
    with subprocess.Popen(["cat"], cwd=other, stdin=subprocess.PIPE) as starter:
        assert run(**{STARTED_BY: str(starter.pid)})["account"] == "of-the-other-worker"
        starter.stdin.close()


def test_a_relative_name_of_the_settings_file_does_too(found):
    _, run = found
    assert run(EDGECAP_CONFIG="other.toml")["account"] == "of-the-other-file"


def test_a_worker_that_takes_the_step_itself_names_its_own_folder(tmp_path, monkeypatch):
    """Prefect does so for the hooks of a run that crashed, and then leaves that folder."""
    monkeypatch.setenv(FOLDER, "")
    monkeypatch.delenv(FOLDER)
    monkeypatch.delenv("EDGECAP_CONFIG", raising=False)
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("edgecap.toml").write_text(SETTINGS)
    monkeypatch.chdir(checkout.enter()["directory"])
    assert Path.cwd() == checkout.PROJECT
    assert load_settings().account().account_id == "of-the-worker"


def test_a_checkout_that_has_the_only_settings_file_counts(tmp_path, monkeypatch):
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "edgecap.toml").touch()
    monkeypatch.setattr(checkout, "PROJECT", tmp_path / "checkout")
    monkeypatch.setenv(FOLDER, "")
    monkeypatch.delenv(FOLDER)
    monkeypatch.chdir(tmp_path)
    checkout.enter()
    assert os.environ[FOLDER] == str(tmp_path / "checkout")
