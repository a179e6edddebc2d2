"""The watchdog, in a pytest of its own with workers."""

import subprocess
import sys
from pathlib import Path

SUITE = """
import signal, threading, time
import pytest

def test_before(): pass

def test_hangs():
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    threading.Event().wait()

@pytest.fixture
def slow_to_end():
    yield
    threading.Event().wait()

def test_fails_and_never_ends(slow_to_end):
    assert False

def test_after(): pass
"""


def test_a_hung_test_is_named_and_the_others_go_on(tmp_path):
    """In its call, and in its teardown after a failure."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["tests.watchdog"]\n')
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nwatchdog = 4\npythonpath = {Path.cwd()}\n")
    (tmp_path / "test_it.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-n", "1", "-p", "no:cacheprovider", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, cwd=tmp_path)
    for name in ("test_hangs", "test_fails_and_never_ends"):
        assert f"crashed while running '{Path('test_it.py')}::{name}'" in ended.stdout
    assert "in slow_to_end" in ended.stderr  # where it was
    assert "2 passed" in ended.stdout
