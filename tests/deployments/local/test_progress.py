"""A program is waited for as long as it gets on, however slow the machine is."""

import subprocess
import sys

import pytest

from deployments.local.processes import Program
from deployments.local.progress import LONGEST, Activity, StallDetector, activity_of
from edgecap.errors import SetupError


class Watched:
    """A program on a clock that is set by hand."""

    def __init__(self):
        self.now = self.worked = 0.0
        self.written = 0
        self.told = []
        self.patience = StallDetector(
            lambda: Activity(self.written, self.worked), 90, self.told.append, clock=lambda: self.now
        )

    def lasts(self, seconds, *, lines=0, load=0.0):
        """Whether it is still waited for after so long, writing and working meanwhile."""
        for _ in range(seconds):
            self.now += 1
            self.written += lines
            self.worked += load
            if self.patience.is_stalled():
                return False
        return True


def test_a_program_that_writes_to_its_log_is_waited_for():
    assert Watched().lasts(1000, lines=1)


def test_a_program_that_uses_a_tenth_of_a_processor_is_waited_for():
    assert Watched().lasts(1000, load=0.1)


def test_a_program_that_does_nothing_is_not_waited_for():
    watched = Watched()
    assert watched.lasts(89)
    assert not watched.lasts(2)


def test_a_program_that_only_idles_is_not_waited_for():
    assert not Watched().lasts(91, load=0.02)


def test_no_program_is_waited_for_without_end():
    assert not Watched().lasts(90 * (LONGEST + 2), lines=1)


def test_it_says_now_and_then_that_it_goes_on():
    watched = Watched()
    watched.lasts(65, load=0.5)
    assert watched.told == [
        "is at work: 30 s so far, 15 s of processor time",
        "is at work: 60 s so far, 30 s of processor time",
    ]


def test_a_program_that_logs_is_waited_for_and_a_silent_one_stopped(tmp_path):
    loud = "for line in 1 2 3 4 5; do echo $line; sleep 1; done"
    Program("loud", ["sh", "-c", loud], log=tmp_path / "loud.log").run(timeout=3)
    silent = Program("silent", ["sleep", "60"], log=tmp_path / "silent.log")
    with pytest.raises(SetupError, match="silent did nothing for 3 s"):
        silent.run(timeout=3)
    assert not silent.running


def test_a_fork_s_work_counts_for_the_program_that_stands_for_it(tmp_path):
    """A fork has a process group of its own. The program only holds a descriptor of it."""
    work = "import time\nwhile time.process_time() < 1: pass\nprint(flush=True)\ninput()"
    stand = "import os, sys, time; os.pidfd_open(int(sys.argv[1])); print(flush=True); time.sleep(600)"
    with piped(work) as fork, piped(stand, str(fork.pid)) as program:
        fork.stdout.readline()
        program.stdout.readline()
        assert activity_of(program.pid, tmp_path / "no-log").worked > 0.9
        fork.kill()
        program.kill()


def piped(code, *arguments):
    """A program in a process group of its own."""
    argv = [sys.executable, "-c", code, *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(argv, start_new_session=True, **pipes)
