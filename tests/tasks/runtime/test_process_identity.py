"""Whether a process still lives."""

import inspect
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from edgecap.captures.submission import Submitter
from edgecap.clock import seconds_since_boot
from tasks.runtime.process_identity import ProcessMark, is_gone, this_process


def test_this_process_lives():
    mark = this_process()
    assert is_gone(mark) is False
    assert ProcessMark.parse(str(mark)) == mark


def test_an_ended_process_is_gone_even_if_its_id_is_reused():
    code = "from tasks.runtime.process_identity import this_process; print(this_process())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ended = ProcessMark.parse(done.stdout.strip())
    assert ended.machine == this_process().machine
    assert is_gone(ended) is True
    assert is_gone(replace(this_process(), started=1)) is True


def test_a_zombie_process_is_gone():
    code = (
        "from tasks.runtime.process_identity import this_process; print(this_process(), flush=True); input()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    mark = ProcessMark.parse(child.stdout.readline().strip())
    assert is_gone(mark) is False
    child.kill()
    while is_gone(mark) is False:
        pass
    assert child.returncode is None
    child.communicate()


def test_processes_of_another_machine_are_unknown():
    assert is_gone(replace(this_process(), machine="elsewhere")) is None
    assert is_gone(ProcessMark("", 1, 1)) is None


def test_an_invalid_mark_is_none():
    assert ProcessMark.parse("4242") is None
    assert ProcessMark.parse("") is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this clock")
def test_the_seconds_in_which_a_machine_was_suspended_count(monkeypatch):
    """A look at the API's list before that is old when a laptop is opened again."""
    known = time.clock_gettime
    monkeypatch.setattr(
        time, "clock_gettime", lambda which: known(which) + 3600 * (which == time.CLOCK_BOOTTIME)
    )
    assert seconds_since_boot() - time.monotonic() >= 3599
    assert inspect.signature(Submitter).parameters["monotonic"].default is seconds_since_boot
