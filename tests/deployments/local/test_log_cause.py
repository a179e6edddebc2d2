"""Why a program ended: from logs that Prefect's programs really wrote, and from real programs."""

import sys

import pytest

from deployments.local.log_cause import find_cause
from deployments.local.processes import Program
from edgecap.errors import SetupError

TRACE = """Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/aiosqlite/core.py", line 63, in _connection_worker_thread
    result = function()
             ^^^^^^^^^^
{exception}
(Background on this error at: https://sqlalche.me/e/20/4xp6)

ERROR:    Application startup failed. Exiting.
Server stopped!
"""
OPEN = "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) unable to open database file"


@pytest.mark.parametrize(
    ("log", "says", "hint"),
    [
        (TRACE.format(exception=OPEN), "its database cannot be opened", "who owns"),
        (
            TRACE.format(exception="sqlite3.DatabaseError: file is not a database"),
            "its database is damaged (file is not a database)",
            "prefect.db",
        ),
        (
            TRACE.format(exception="alembic.util.exc.CommandError: Can't locate revision identified by 'ff'"),
            "its database is of another version of Prefect",
            "use that version",
        ),
        (
            "Port 42877 is already in use. Please specify a different port with the `--port`\nflag.\n",
            "another program uses its port (Port 42877 is already in use)",
            "another port",
        ),
        (
            TRACE.format(exception="PermissionError: [Errno 13] Permission denied: '/srv/x'"),
            "it may not do this (Permission denied: '/srv/x')",
            "give this user the right",
        ),
        (
            TRACE.format(exception="OSError: [Errno 28] No space left on device"),
            "the disk is full",
            "make room",
        ),
        (
            TRACE.format(exception="ModuleNotFoundError: No module named 'x.y'"),
            "(No module named 'x.y')",
            "make",
        ),
        (
            "x has 9 deployments\nAll connection attempts failed\n",
            "the Prefect server does not answer",
            "log",
        ),
        (TRACE.format(exception="ValueError: 3 is no port"), "ValueError: 3 is no port", ""),
        ("", "", ""),
    ],
)
def test_the_cause_is_found_in_the_log(log, says, hint):
    cause = find_cause(log)
    assert says in cause.what
    assert hint in cause.hint
    assert "Server stopped" not in cause.what


def test_a_cause_that_passed_does_not_count():
    log = "database is locked\nretried\nAll connection attempts failed\n"
    assert "the Prefect server does not answer" in find_cause(log).what


def test_a_log_without_an_exception_gives_its_last_lines():
    assert find_cause("one\ntwo\nthree\nfour\n").what == "two / three / four"
    assert find_cause("worker starts\n$ prefect init\nAn exception occurred.\n").what == "worker starts"


@pytest.fixture
def make(tmp_path):
    made = []

    def program(code):
        made.append(Program("trial", [sys.executable, "-c", code], log=tmp_path / "trial.log"))
        return made[-1]

    yield program
    for each in made:
        each.stop()


def test_a_program_that_fails_says_why_and_what_to_do(make):
    with pytest.raises(SetupError) as caught:
        make("open('/proc/self/mem/x')").run()
    assert str(caught.value).startswith("trial ended with exit code 1: NotADirectoryError: [Errno 20]")
    with pytest.raises(SetupError, match=r"ended with exit code 1: the disk is full \(No space .*make room"):
        make("print('x', file=open('/dev/full', 'w'), flush=True)").run()


def test_only_the_log_of_the_last_start_counts(make, tmp_path):
    (tmp_path / "trial.log").write_text("OSError: [Errno 28] No space left on device\n")
    with pytest.raises(SetupError, match=r"ended with exit code 3, without a word \("):
        make("raise SystemExit(3)").run()


def test_a_program_that_was_killed_says_by_which_signal(make):
    program = make("import os; print('at work', flush=True); os.kill(os.getpid(), 9)")
    program.start()
    with pytest.raises(SetupError, match=r"ended at once: SIGKILL ended it; at work .*out of memory"):
        program.wait_ready(lambda: False)
