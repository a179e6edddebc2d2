"""The command as a whole: quick to start, one line for each failure, its exit codes."""

import json
import os
import signal
import subprocess
import sys

import pytest

from edgecap import errors
from edgecap.cli.exits import complain, exits

HEAVY = ("prefect", "boto3", "google.cloud", "httpx", "pydantic", "uvicorn")


def test_the_version(shell):
    done = shell.run("version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == shell.run("--version").stdout.strip()
    assert json.loads(shell.run("version", "--json").stdout) == {"version": done.stdout.strip()}


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["capture", "--help"]], ids=str)
def test_nothing_heavy_is_imported_for_what_needs_nothing(arguments):
    """It is this, not a clock, that keeps the start quick."""
    seen = "print(sorted(sys.modules), file=sys.stderr)"
    code = f"import sys; from edgecap.cli.main import run; run({arguments}); {seen}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'edgecap.cli.main'" in done.stderr
    assert not [name for name in HEAVY if f"'{name}'" in done.stderr]


MODELS = [
    "edgecap.packets.summary",
    "edgecap.cloudflare.models",
    "edgecap.incidents",
    "edgecap.alerts.model",
]


@pytest.mark.parametrize(
    ("arguments", "needless"),
    [
        (["version"], ["cyclopts", "rich", "traceback", "edgecap.cli.app"]),
        (["--help"], ["importlib.metadata", "pydantic", "edgecap.settings"]),
        (
            ["list"],
            ["numpy", "edgecap.packets.inspect", "httpx", "botocore", "jinja2", "rich.progress", *MODELS],
        ),
    ],
    ids=str,
)
def test_a_command_imports_only_what_it_uses(shell, store, arguments, needless):
    """Importing takes most of the time of a short command."""
    seen = "print(sorted(sys.modules), file=sys.stderr)"
    code = f"import sys; from edgecap.cli.main import run; assert not run({arguments}); {seen}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=shell.environment()
    )
    assert not [name for name in needless if f"'{name}'" in done.stderr]


def test_help_without_a_command_lists_the_commands(shell):
    for arguments in ([], ["--help"]):
        done = shell.run(*arguments)
        assert done.returncode == 0
        for word in ("demo", "up", "simulate", "capture", "list", "show", "verify", "bucket", "Exit codes"):
            assert word in done.stdout


WRONG = [
    (["nothing"], 2, "nothing"),
    (["version", "--jsn"], 2, "--jsn"),
    (["capture", "full"], 2, "--colo"),
    (["capture", "simple", "--seconds", "many"], 2, "--seconds"),
    (["capture", "simple", "--at", "yesterday"], 2, "'yesterday' is not a time"),
    (["capture", "simple", "--proto", "carrier-pigeon"], 2, "carrier-pigeon"),
    (["capture", "full", "--colo", "ORD", "--bytes", "much"], 2, "'much' is not a size"),
    (["list", "--type", "big"], 2, "big"),
    (["list", "--limit", "-1"], 2, "--limit -1"),
    (["list"], 3, "no archive is called 'default'"),
    (["show", "abc", "--archive", "other"], 3, "no archive is called 'other'"),
    (["capture", "simple"], 3, "no account is called 'default'"),
    (["capture", "simple", "--packets", "10001"], 2, "--packets 10001 is out of bounds"),
    (["capture", "simple", "--seconds", "301"], 2, "--seconds 301 is out of bounds; give 1 to 300 seconds"),
    (["capture", "simple", "--dst", "203.0.113.0/24"], 2, "(--dst); use --filter 'dst net 203.0.113.0/24'"),
    (["capture", "simple", "--proto", "icmp", "--dport", "80"], 2, "icmp has no ports (--dport)"),
    (["capture", "simple", "--filter", "udp and"], 2, "(--filter 'udp and')"),
    (
        ["capture", "simple", "--proto", "tcp", "--filter", "udp"],
        2,
        "--proto is tcp, and --filter asks for udp",
    ),
    (["capture", "simple", "--at", "2100-01-01T00:00:00Z"], 2, "--at 2100-01-01"),
    (["capture", "full", "--colo", "nowhere"], 2, "unknown data centre 'nowhere' (--colo)"),
    (["capture", "simple", "--account", "nope"], 3, "set EDGECAP_ACCOUNTS__NOPE__ACCOUNT_ID"),
    (["capture", "simple", "--src", "2001:db8::1"], 2, "is IPv6"),
    (["capture", "simple", "--at", "25h"], 14, "more than 24 hours old"),
    (["bucket", "register", "other"], 3, "no bucket is called 'other'"),
    (["up"], 3, "no account is called 'default'"),
    (["up", "--port", "0"], 2, "--port"),
    (["simulate", "--port", "99999"], 2, "--port"),
    (["simulate", "--set", "list_lag"], 2, "'list_lag' is not NAME=VALUE"),
    (["simulate", "--traffic", "replay:/nowhere.pcap"], 3, "/nowhere.pcap"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), WRONG, ids=[" ".join(a) for a, _, _ in WRONG])
def test_bad_input_is_one_line_on_stderr_and_its_exit_code(call, arguments, code, words):
    done = call(*arguments)
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("edgecap: ")
    assert words in line
    assert done.returncode == code


def test_an_exit_code_reaches_the_shell(shell):
    done = shell.run("show", "abc")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("edgecap: no archive is called 'default'")


def test_a_settings_file_that_cannot_be_read(call, shell):
    (shell.folder / "edgecap.toml").write_text("this is no toml")
    done = call("list")
    assert done.returncode == 3
    assert "edgecap.toml" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_traceback_comes_only_when_asked_for(call):
    done = call("list", EDGECAP_DEBUG="1")
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("edgecap: no archive is called")
    assert done.returncode == 3


def test_a_reader_that_goes_away_early_is_no_trouble(shell):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", CLOSED],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert done.returncode == 128 + signal.SIGPIPE


CLOSED = "import sys; sys.argv = ['edgecap', 'version', '--json']; from edgecap.cli.main import main; main()"


def test_no_secret_and_no_control_character_reaches_stderr(capsys):
    complain("r2://b?access-key-id=AKIA&secret-access-key=hush is\nwrong\x1b[31m")
    line = capsys.readouterr().err
    assert "hush" not in line
    assert "AKIA" not in line
    assert "\x1b" not in line
    assert line.count("\n") == 1


def test_every_error_of_the_tree_has_its_code_in_the_list():
    listed = {each.name: each.code for each in exits() if each.name}
    leaves = {
        name: item.exit_code
        for name, item in vars(errors).items()
        if isinstance(item, type)
        and issubclass(item, errors.EdgecapError)
        and name not in ("EdgecapError", "ApiError", "StoreError")
    }
    assert listed == leaves


def test_completion_is_offered(call, shell):
    done = call("--install-completion", "--shell", "bash", "--output", "edgecap.bash", HOME=str(shell.folder))
    assert done.returncode == 0, done.stderr
    script = (shell.folder / "edgecap.bash").read_text()
    for word in ("simulate", "--dry-run", "--install-completion"):
        assert word in script
