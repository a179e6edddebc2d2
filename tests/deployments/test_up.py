"""`Up` refuses to start what could not do its work, and says what is missing."""

import json
import os
import socket

import pytest

from deployments.local import RUNNING
from deployments.up import Up
from edgecap.errors import ConfigError, SetupError, StoreError
from edgecap.settings import Account, Place, Settings


@pytest.fixture
def make(tmp_path, monkeypatch):
    """An `Up` with good settings, but for what is given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGECAP_CONFIG", raising=False)
    (tmp_path / "archive").mkdir()

    def up(**more):
        values = {
            "accounts": {"default": Account(account_id="a" * 32, api_token="token")},
            "archives": {"default": Place(uri=f"file:{tmp_path / 'archive'}")},
            "home": tmp_path / "home",
        }
        return Up(Settings(**{**values, **more}), print)

    return up


def test_good_settings_pass(make):
    make().check()


def test_no_account(make):
    with pytest.raises(ConfigError, match="no account is called 'default'"):
        make(accounts={}).check()


def test_any_account_without_credentials(make):
    accounts = {"other": Account(account_id="a" * 32)}
    with pytest.raises(ConfigError, match="account 'other' has no credentials"):
        make(accounts=accounts).check()


def test_no_archive(make):
    with pytest.raises(ConfigError, match="no archive is called 'default'"):
        make(archives={}).check()


def test_an_archive_whose_place_depends_on_where_a_program_runs(make, tmp_path):
    with pytest.raises(ConfigError, match=f"write file:{tmp_path}/archive"):
        make(archives={"default": Place(uri="file:archive")}).check()


def test_an_archive_that_cannot_be_written(make, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError):
        make(archives={"default": Place(uri=f"file:{tmp_path / 'file'}")}).check()


def test_one_that_runs_already(make, tmp_path):
    (tmp_path / "home").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        word = {"api_url": f"{url}/api", "ui_url": url, "pid": os.getpid()}
        (tmp_path / "home" / RUNNING).write_text(json.dumps(word))
        with pytest.raises(SetupError, match="it runs already"):
            make().check()
    make().check()  # what is left of one that was killed stands in nobody's way


def test_its_programs_find_the_settings_from_any_folder(make, tmp_path):
    (tmp_path / "edgecap.toml").write_text("")
    env = make(home="state").setup.env
    assert env["EDGECAP_CONFIG"] == str(tmp_path / "edgecap.toml")
    assert env["EDGECAP_HOME"] == str(tmp_path / "state")
