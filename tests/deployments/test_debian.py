"""How `make` installs what Debian has: as root, through sudo, or by saying what to run as root."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deployments/debian.sh"
BASH = shutil.which("bash")
INSTALL = "apt-get install --no-install-recommends gcc libc6-dev"
AS_ROOT = f"Run as root: apt-get update && {INSTALL}; then run make again."


@pytest.fixture
def machine(tmp_path):
    """Runs the script on a machine whose programs are a few lines each; what it called is told, too."""

    def run(*, user=1000, **programs):
        programs = {"id": f"echo {user}", "apt-get": "", **programs}
        folder, calls = tmp_path / "bin", tmp_path / "calls"
        folder.mkdir()
        for name, body in programs.items():
            if body is not None:
                path = folder / name
                path.write_text(f'#!{BASH}\n[ {name} = id ] || echo "{name} $*" >>{calls}\n{body}\n')
                path.chmod(0o755)
        done = subprocess.run(
            [BASH, SCRIPT, "a C compiler", "gcc", "libc6-dev"],
            env={"PATH": str(folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done, calls.read_text().splitlines() if calls.exists() else []

    return run


@pytest.mark.parametrize(
    "sudo", [None, "exit 1"], ids=["no sudo", "sudo wants a password, and there is no terminal"]
)
def test_without_sudo_it_prints_the_command_for_root(machine, sudo):
    done, calls = machine(sudo=sudo)
    assert done.returncode == 1
    assert done.stderr == f"setup: a C compiler is missing, and sudo is not allowed here. {AS_ROOT}\n"
    assert not [call for call in calls if call.startswith("apt-get")]


def test_root_installs_it(machine):
    done, calls = machine(user=0, env='shift; exec "$@"')
    assert (done.returncode, done.stderr) == (0, "")
    assert calls[0] == "apt-get update -qq"
    assert calls[-1] == "apt-get install -y -qq --no-install-recommends gcc libc6-dev"


def test_a_user_with_sudo_uses_it(machine):
    done, calls = machine(sudo='[ "$1" != -n ] || exit 0; exec "$@"', env='shift; exec "$@"')
    assert (done.returncode, done.stdout) == (0, "setup: installing a C compiler from Debian\n")
    assert "sudo apt-get update -qq" in calls
    assert calls[-1] == "apt-get install -y -qq --no-install-recommends gcc libc6-dev"


def test_an_apt_failure_is_reported_with_the_command(machine):
    done, _ = machine(user=0, **{"apt-get": "exit 100"})
    assert done.returncode == 1
    assert done.stderr == f"setup: a C compiler could not be installed. {AS_ROOT}\n"


def test_without_apt_the_packages_are_named(machine):
    done, _ = machine(user=0, **{"apt-get": None})
    assert done.returncode == 1
    assert "this is no Debian. Install what Debian calls: gcc libc6-dev;" in done.stderr
