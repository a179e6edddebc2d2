"""Which runs are taken up again."""

from datetime import UTC, datetime, timedelta

import pytest

from edgecap.captures import outages
from tasks import incident
from tasks.runtime import suspend
from tasks.runtime.restart_policy import (
    MAX_LIVES,
    WAITING,
    Recovery,
    RunState,
    StartingWorker,
    crashes,
    is_to_end,
    judge,
)

NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)


def history(*types, age=60.0, step=100):
    first = NOW - timedelta(seconds=age + step * (len(types) - 1))
    return [RunState(kind, first + timedelta(seconds=step * n)) for n, kind in enumerate(types)]


def verdict(*types, age=60.0, gone=None, silent=False, can_restart=True, worker=None):
    return judge(
        history(*types, age=age), now=NOW, gone=gone, silent=silent, can_restart=can_restart, worker=worker
    )


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


STARTING = ("SCHEDULED", "PENDING")
LIFE = (*STARTING, "RUNNING")


@pytest.mark.parametrize(
    ("types", "more", "expected"),
    [
        ((*LIFE, "CRASHED"), {}, Recovery.TAKE_UP),
        ((*LIFE, "CRASHED"), {"can_restart": False}, Recovery.LEAVE),
        (LIFE, {"gone": True, "can_restart": False}, Recovery.GIVE_UP),
        ((*LIFE, "CRASHED"), {"age": 90_000}, Recovery.LEAVE),
        ((*LIFE, "CRASHED", "SCHEDULED"), {}, Recovery.LEAVE),
        (LIFE, {"gone": True}, Recovery.TAKE_UP),
        (LIFE, {"gone": True, "age": 5}, Recovery.LOOK_AGAIN),
        (LIFE, {"gone": False, "age": 5}, Recovery.LEAVE),
        (LIFE, {"gone": None, "age": 5}, Recovery.LEAVE),
        ((*LIFE, "CANCELLING"), {"gone": True, "age": 5}, Recovery.LOOK_AGAIN),
        (LIFE, {"gone": False, "silent": True}, Recovery.LEAVE),
        (LIFE, {"gone": None, "silent": True}, Recovery.TAKE_UP),
        (LIFE, {"gone": None, "silent": False, "age": 50_000}, Recovery.LEAVE),
        # No worker has said that it is starting it: within 90 seconds one does.
        (STARTING, {"age": 60}, Recovery.LOOK_AGAIN),
        (STARTING, {"age": 91}, Recovery.TAKE_UP),
        # Its worker was started anew since.
        (STARTING, {"age": 60, "worker": StartingWorker(ago(1), started=ago(50))}, Recovery.TAKE_UP),
        (STARTING, {"age": 60, "worker": StartingWorker(ago(1), started=ago(70))}, Recovery.LOOK_AGAIN),
        (STARTING, {"age": 5, "worker": StartingWorker(ago(1), started=ago(2))}, Recovery.LOOK_AGAIN),
        # Its worker has gone silent.
        (STARTING, {"age": 80, "worker": StartingWorker(ago(89))}, Recovery.LOOK_AGAIN),
        (STARTING, {"age": 80, "worker": StartingWorker(ago(91))}, Recovery.TAKE_UP),
        # It was heard of until a moment ago: who looks waits until it must have given another sign.
        (STARTING, {"age": 99, "worker": StartingWorker(ago(85))}, Recovery.LOOK_AGAIN),
        (STARTING, {"age": 101, "worker": StartingWorker(ago(85))}, Recovery.LEAVE),
        (STARTING, {"age": 95, "worker": StartingWorker(ago(91)), "can_restart": False}, Recovery.GIVE_UP),
        # Its worker lives, and the machine is slow; in the end it has lost it.
        (STARTING, {"age": 200, "worker": StartingWorker(ago(20), started=ago(900))}, Recovery.LEAVE),
        (STARTING, {"age": 301, "worker": StartingWorker(ago(20), started=ago(900))}, Recovery.TAKE_UP),
        ((*LIFE, "CANCELLING"), {"gone": True, "age": 11}, Recovery.CANCEL),
        ((*LIFE, "CANCELLING"), {"gone": False, "age": 30}, Recovery.LEAVE),
        ((*LIFE, "CANCELLING"), {"gone": None, "age": 61}, Recovery.CANCEL),
        # The process wrote its own state over the cancel, or crashed on the way.
        ((*LIFE, "CANCELLING", "RUNNING"), {"gone": True}, Recovery.CANCEL),
        ((*LIFE, "CANCELLING", "CRASHED"), {}, Recovery.CANCEL),
        ((*LIFE, "CANCELLED", "SCHEDULED", "PENDING", "RUNNING", "CRASHED"), {}, Recovery.TAKE_UP),
        ((*LIFE, "COMPLETED"), {"gone": True}, Recovery.LEAVE),
        ((*LIFE, "FAILED"), {"gone": True}, Recovery.LEAVE),
        ((*LIFE, "CANCELLED"), {"gone": True}, Recovery.LEAVE),
        ((), {}, Recovery.LEAVE),
    ],
)
def test_the_verdict_for_each_history(types, more, expected):
    assert verdict(*types, **more) == expected


def test_a_run_is_resumed_a_limited_number_of_times():
    lives = [*LIFE, "CRASHED"]
    assert verdict(*lives * (MAX_LIVES - 1)) == Recovery.TAKE_UP
    assert verdict(*lives * MAX_LIVES) == Recovery.LEAVE
    assert verdict(*lives * (MAX_LIVES - 1), *LIFE, gone=True) == Recovery.GIVE_UP


def test_waiting_is_no_death_and_a_crash_reported_twice_is_one():
    assert crashes(history(*LIFE, "SCHEDULED", "PENDING", "RUNNING", "SCHEDULED")) == 0
    assert crashes(history(*LIFE, "CRASHED", "CRASHED", "SCHEDULED", "CRASHED")) == 1
    assert crashes(history("SCHEDULED", "CRASHED")) == 0  # no process ever worked on it


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ((), False),
        (LIFE, False),
        ((*LIFE, "CANCELLING"), True),
        (("SCHEDULED", "CANCELLED"), True),
        ((*LIFE, "CANCELLING", "RUNNING"), True),
        ((*LIFE, "CANCELLING", "SCHEDULED"), True),
        ((*LIFE, "CANCELLING", "CRASHED"), True),
        ((*LIFE, "CANCELLING", "CANCELLED"), True),
        ((*LIFE, "CANCELLED", "SCHEDULED"), False),
        ((*LIFE, "CANCELLING", "COMPLETED", "SCHEDULED", "RUNNING"), False),
    ],
)
def test_a_cancel_counts_until_the_run_is_started_anew(types, expected):
    assert is_to_end(history(*types)) is expected


def test_a_state_scheduled_by_edgecap_is_never_mistaken_for_a_start():
    names = [value for module in (suspend, incident, outages) for value in constants(module, "WAITING_FOR")]
    assert len(names) >= 8
    assert all(name.startswith(WAITING) for name in names)


def constants(module, prefix):
    return [value for name, value in vars(module).items() if name.startswith(prefix)]


@pytest.mark.parametrize("name", ["WaitingForLane", "WaitingForWorker", "Late"])
def test_a_state_that_edgecap_writes_does_not_undo_a_cancel(name):
    cancelled = history("SCHEDULED", "CANCELLED", age=200)
    written = RunState("SCHEDULED", ago(100), name)
    begun = [RunState("PENDING", ago(60)), RunState("RUNNING", ago(50))]
    assert is_to_end([*cancelled, written])
    assert is_to_end([*cancelled, written, *begun])
    assert is_to_end([*cancelled, RunState("RUNNING", ago(60), "Running")])
    by_a_person = RunState("SCHEDULED", ago(40), "AwaitingRetry")
    assert not is_to_end([*cancelled, written, *begun, by_a_person])
    assert judge([*cancelled, *begun], now=NOW, gone=True, silent=False, can_restart=True) == Recovery.CANCEL
