"""A worker's name is one worker's: locks of real processes, and what a Prefect server says, step by step."""

import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from deployments.local.worker import check_name, claim_name, use_name
from edgecap.errors import SetupError
from tasks.runtime.prefect_server import PrefectServer
from tests.stand_ins import JsonHandler, serving

START = datetime(2026, 11, 28, 12, tzinfo=UTC)
# A worker: it holds the name, and becomes another program, as `edgecap worker` does.
HOLDER = """
import os, sys
from pathlib import Path
from deployments.local.worker import claim_name, use_name
lock, _ = claim_name(Path(sys.argv[1]), sys.argv[2])
use_name(lock, sys.argv[2])
os.execv(sys.executable, [sys.executable, "-c", "print('at work', flush=True); input()"])
"""


@contextmanager
def holder(home, name):
    argv = [sys.executable, "-c", HOLDER, str(home), name]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "at work\n"
            yield process
        finally:
            process.kill()


def test_a_name_is_taken_until_its_worker_is_killed(tmp_path):
    with holder(tmp_path, "mine"):
        with pytest.raises(SetupError, match="'mine' is already running: it runs on this machine") as caught:
            claim_name(tmp_path, "mine")
        assert caught.value.exit_code == 15
        assert claim_name(tmp_path, "another")[1] is False
    assert claim_name(tmp_path, "mine")[1], "it is known that there was one"


def test_a_refused_worker_does_not_count_as_a_user_of_the_name(tmp_path):
    """Its second start would not ask the server any more, and two workers would have one name."""
    for _ in range(2):
        lock, was_used_here = claim_name(tmp_path, "mine")
        assert not was_used_here
        os.close(lock)  # as when it ends: `check_name` has refused the name
    lock, _ = claim_name(tmp_path, "mine")
    use_name(lock, "mine")
    os.close(lock)
    assert claim_name(tmp_path, "mine")[1]


class OneWorker(JsonHandler):
    def do_POST(self):
        self.body()
        pool = self.server.pool
        worker = {
            "name": "mine",
            "status": pool.status,
            "heartbeat_interval_seconds": 30,
            "last_heartbeat_time": pool.beats(pool.now).isoformat(),
        }
        self.say([worker])


class Pool:
    """A Prefect server that knows one worker, whose last heartbeat is as old as a test says."""

    def __init__(self):
        self.now = START
        self.beats = lambda now: START
        self.status = "ONLINE"

    def sleep(self, seconds):
        self.now += timedelta(seconds=seconds)

    def check(self, name="mine"):
        said = []
        check_name(
            PrefectServer(f"{self.url}/api"), name, said.append, sleep=self.sleep, clock=lambda: self.now
        )
        return said


@pytest.fixture
def pool():
    pool = Pool()
    with serving(OneWorker, pool=pool) as server:
        pool.url = server.url
        yield pool


def test_a_worker_that_gives_another_sign_of_life_keeps_its_name(pool):
    pool.beats = lambda now: START + timedelta(seconds=30) * ((now - START) // timedelta(seconds=30))
    with pytest.raises(SetupError, match="'mine' is already running: it sent the Prefect server a heartbeat"):
        pool.check()
    assert pool.now - START == timedelta(seconds=30)


def test_a_worker_just_killed_gives_no_sign_and_is_replaced(pool):
    assert len(pool.check()) == 1
    assert pool.now - START == timedelta(seconds=60)


def test_a_free_name_is_taken_without_waiting(pool):
    assert pool.check("another") == []
    pool.status = "OFFLINE"
    assert pool.check() == []
    assert pool.now == START
