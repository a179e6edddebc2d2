"""Nobody gives orders to a setup's Prefect server without its secret, and no web page does."""

import os
import stat
from pathlib import Path

import pytest

from deployments.local.prefect_server import allowed_hosts
from deployments.local.running import RUNNING, RunningSetup, announce, find_server, running_setup
from deployments.local.setup import LocalSetup
from deployments.local.sign_in import FILE, sign_in_of
from edgecap.errors import SetupError
from tasks.runtime.prefect_server import HOSTS, SERVER_AUTH_STRING, PrefectServer


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_a_secret_that_later_starts_keep(tmp_path):
    sign_in = sign_in_of(tmp_path, {})
    sign_in.keep()
    assert mode(tmp_path / FILE) == 0o600
    assert sign_in_of(tmp_path, {}) == sign_in
    assert sign_in.auth_string not in repr(sign_in)
    assert sign_in_of(tmp_path / "other", {}).auth_string != sign_in.auth_string


def test_a_readable_secret_is_closed_to_others(tmp_path):
    (tmp_path / FILE).write_text("edgecap:known\n")
    (tmp_path / FILE).chmod(0o644)
    sign_in_of(tmp_path, {}).keep()
    assert mode(tmp_path / FILE) == 0o600


def test_a_secret_in_the_environment_comes_first_and_is_not_written(tmp_path):
    sign_in = sign_in_of(tmp_path, {SERVER_AUTH_STRING: "admin:given"})
    sign_in.keep()
    assert sign_in.auth_string == "admin:given"
    assert list(tmp_path.iterdir()) == []


def test_an_empty_secret_is_no_secret(tmp_path):
    (tmp_path / FILE).write_text("\n")
    with pytest.raises(SetupError, match="remove this file"):
        sign_in_of(tmp_path, {})


def test_a_secret_in_the_environment_reaches_the_programs(tmp_path, monkeypatch):
    """Without that, the server would refuse the worker that `edgecap up` starts beside it."""
    monkeypatch.setenv(SERVER_AUTH_STRING, "admin:given")
    setup = LocalSetup(tmp_path)
    assert setup.env["PREFECT_API_AUTH_STRING"] == setup.env[SERVER_AUTH_STRING] == "admin:given"
    assert setup.prefect == PrefectServer(setup.api_url, "admin:given")


def test_a_setup_is_found_with_its_secret_by_its_user_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    setup = RunningSetup("http://127.0.0.1:4200/api", "http://127.0.0.1:4200", "edgecap:x", "/run/f")
    announce(tmp_path, setup)
    assert mode(tmp_path / RUNNING) == 0o600
    assert running_setup(tmp_path) == setup
    assert setup.pid == os.getpid()
    assert find_server(tmp_path) == PrefectServer("http://127.0.0.1:4200/api", "edgecap:x")


def test_a_setup_of_another_user_is_named_as_such(tmp_path, monkeypatch):
    announce(tmp_path, RunningSetup("http://127.0.0.1:4200/api", "http://127.0.0.1:4200"))

    def refused(*_):
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refused)
    with pytest.raises(SetupError, match="belongs to another user"):
        running_setup(tmp_path)


def test_the_server_answers_under_its_own_names_alone(monkeypatch):
    monkeypatch.setenv(HOSTS, "edgecap.example.net, *.lan")
    assert allowed_hosts() == ["127.0.0.1", "localhost", "edgecap.example.net", "*.lan"]
    monkeypatch.setenv(HOSTS, "")
    assert allowed_hosts() == ["127.0.0.1", "localhost"]


def test_the_file_is_named_as_near_as_it_is(tmp_path, monkeypatch):
    """A path of a hundred letters would break within a line of a terminal."""
    monkeypatch.chdir(tmp_path)
    assert sign_in_of(tmp_path / ".edgecap", {}).how == f"the line in .edgecap/{FILE}"
    monkeypatch.chdir("/")
    assert sign_in_of(tmp_path / ".edgecap", {}).how.endswith(f"/.edgecap/{FILE}")
