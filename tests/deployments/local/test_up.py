"""`Up` refuses to start what could not do its work, and says what is missing."""

import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from deployments.local.processes import Program, check_port, free_port
from deployments.local.running import RUNNING
from deployments.local.up import Up
from edgecap.errors import ConfigError, SetupError, StoreError
from edgecap.settings import Account, Bucket, Settings, StoreLocation
from edgecap.settings.alerts import AlertSettings, GenericSettings, ReceiverSettings


@pytest.fixture
def make(tmp_path, monkeypatch):
    """An `Up` with good settings, but for what is given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGECAP_CONFIG", raising=False)
    (tmp_path / "archive").mkdir()

    def up(**more):
        values = {
            "accounts": {"default": Account(account_id="a" * 32, api_token="token")},
            "archives": {"default": StoreLocation(uri=f"file:{tmp_path / 'archive'}")},
            "home": tmp_path / "home",
        }
        return Up(Settings(**{**values, **more}), print, port=free_port())

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


def test_a_relative_archive_path_is_refused(make, tmp_path):
    with pytest.raises(ConfigError, match=f"write file:{tmp_path}/archive"):
        make(archives={"default": StoreLocation(uri="file:archive")}).check()


def test_an_archive_that_cannot_be_written(make, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError):
        make(archives={"default": StoreLocation(uri=f"file:{tmp_path / 'file'}")}).check()


def test_a_second_up_in_the_same_folder_is_refused(make, tmp_path):
    (tmp_path / "home").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        word = {"api_url": f"{url}/api", "ui_url": url, "pid": os.getpid()}
        (tmp_path / "home" / RUNNING).write_text(json.dumps(word))
        with pytest.raises(SetupError, match="edgecap is already running"):
            make().check()
    make().check()  # what is left of one that was killed stands in nobody's way


def test_a_taken_port_is_reported_before_anything_starts(make, tmp_path):
    """The receiver's, too, which is started last."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        alerts = AlertSettings(generic=GenericSettings(secret="secret" * 8))
        with pytest.raises(SetupError, match=f"port {port} is taken .*set receiver.port"):
            make(alerts=alerts, receiver=ReceiverSettings(port=port)).check()
        up = make()
        up.setup.port = port
        with pytest.raises(SetupError, match=f"port {port} is taken .*another --port"):
            up.check()
    with pytest.raises(SetupError, match=r"nothing can listen at port 4280: .* \(192.0.2.1:4280\)"):
        make(alerts=alerts, receiver=ReceiverSettings(host="192.0.2.1")).check()
    assert not (tmp_path / "home").exists()


def test_connections_left_by_an_earlier_server_do_not_block_the_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), listener.accept()[0]:
            listener.close()
    check_port(port, hint="")


def test_a_full_disk_is_named_as_the_cause(make, small_disk):
    with pytest.raises(SetupError, match=r"the disk is full: 1 MB are free.*make room"):
        make(home=small_disk / "home").check()


def test_a_program_that_fails_on_a_full_disk_says_so(small_disk):
    with suppress(OSError):
        (small_disk / "file").write_bytes(bytes(2_000_000))
    program = Program("trial", [sys.executable, "-c", "raise SystemExit(1)"], log=small_disk / "trial.log")
    with pytest.raises(SetupError, match="trial ended with exit code 1: the disk is full"):
        program.run()


def test_each_user_of_a_machine_has_a_temporary_folder_of_its_own(make):
    """Prefect's runner keeps one with a fixed name, in which a second user could not write."""
    folder = Path(make().setup.env["TMPDIR"])
    assert folder.name == f"edgecap-prefect-{os.getuid()}"
    assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (os.getuid(), 0o700)


def test_its_programs_find_the_settings_from_any_folder(make, tmp_path):
    (tmp_path / "edgecap.toml").write_text("")
    env = make(home="state").setup.env
    assert env["EDGECAP_CONFIG"] == str(tmp_path / "edgecap.toml")
    assert env["EDGECAP_HOME"] == str(tmp_path / "state")


def test_a_bucket_that_alerts_need_and_nobody_set_is_named(make, capsys):
    """Without it, the full captures of each alert fail, and no one learns of it before the first attack."""
    listening = {
        "alerts": AlertSettings(generic=GenericSettings(secret="s" * 32)),
        "receiver": ReceiverSettings(port=free_port()),
    }
    make(**listening).check()
    assert "No bucket is called 'default' (buckets.default)" in capsys.readouterr().out
    make(**listening, buckets={"default": Bucket(uri="s3://captures/edge?region=eu-west-1")}).check()
    assert "No bucket" not in capsys.readouterr().out
