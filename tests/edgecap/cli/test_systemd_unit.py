"""The systemd unit that `edgecap up` prints: systemd accepts it, and it fits how `up` starts and stops."""

import getpass
import re
import shutil
import subprocess

import pytest


def values(unit):
    return dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))


@pytest.fixture
def printed(shell, store):
    done = shell.run(
        "up", "--print-systemd-unit", "--workers", "2", "--port", "4300", CLOUDFLARE_API_TOKEN="SECRETSECRET"
    )
    assert done.returncode == 0, done.stderr
    return done


def test_it_runs_up_here_as_this_user_with_these_options(printed, shell):
    unit = values(printed.stdout)
    assert unit["User"] == getpass.getuser()
    assert unit["WorkingDirectory"] == str(shell.folder)
    assert unit["ExecStart"] == f"{shell.program} up --port 4300 --workers 2 --limit 8"
    assert (unit["Restart"], unit["KillMode"]) == ("on-failure", "mixed")
    assert unit["RestartPreventExitStatus"] == "2 3"


def test_systemd_waits_longer_than_up_takes_to_stop(printed):
    """The receiver 6 s, two workers 3 s each, two helpers 1 s each, the server 3 s, and as much again."""
    assert int(values(printed.stdout)["TimeoutStopSec"]) == 2 * 17 + 10


def test_variables_of_the_shell_are_named_without_their_values(printed):
    for name in ("CLOUDFLARE_API_TOKEN", "EDGECAP_ARCHIVES__DEFAULT__URI"):
        assert name in printed.stderr
    assert "SECRET" not in printed.stdout + printed.stderr


def test_a_folder_with_special_characters_is_escaped(shell, store):
    odd = shell.folder / "50% of it"
    odd.mkdir()
    done = shell.run("up", "--print-systemd-unit", EDGECAP_FOLDER=str(odd))
    assert values(done.stdout)["WorkingDirectory"] == f"{shell.folder}/50%% of it"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_accepts_it(printed, tmp_path):
    file = tmp_path / "edgecap.service"
    file.write_text(printed.stdout)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "edgecap.service" in done.stdout + done.stderr) == (0, False), done.stderr
