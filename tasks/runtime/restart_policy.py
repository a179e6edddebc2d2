"""When a run that died is taken up again, and when it is given up.

A run's life ends when its process is killed, or when its machine goes down. Its next life goes on where the
journal says. The number of lives is limited: a run that kills its process would do so for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tasks.runtime.prefect_names import SUSPENDED

MAX_LIVES = 5
STARTING = timedelta(
    minutes=5
)  # in which a worker starts a run that it took; after that, it has lost the run
UNSEEN = timedelta(seconds=90)  # without a heartbeat a worker is dead; it sends one every 30 seconds
SETTLING = timedelta(seconds=10)  # in which a run that begins records its process
ENDING = timedelta(minutes=1)  # in which a process ends that was asked to
WAITING = "WaitingFor"  # the beginning of the names of all states that edgecap schedules a run into
LATE = "Late"  # Prefect's name for a scheduled state once no worker took the run in time
TOO_OLD = timedelta(hours=24)  # a run that crashed longer ago is not taken up: its packets are gone


@dataclass(frozen=True, slots=True)
class StartingWorker:
    """The worker that took a run and is starting it.

    Attributes:
        seen: its last heartbeat, aware; None if Prefect does not know the worker.
        started: when a worker of this name started last, aware; None if that is not known.
    """

    seen: datetime | None
    started: datetime | None = None


class Recovery(StrEnum):
    """What to do about a run."""

    LEAVE = "leave"  # it lives, waits, or is over
    LOOK_AGAIN = "look again"  # it is too young to judge: it may be dead, or has not recorded its process yet
    TAKE_UP = "take up"
    GIVE_UP = "give up"  # set it to crashed, and do no more
    CANCEL = "cancel"  # it is to be cancelled, and has no process left that could do so


@dataclass(frozen=True, slots=True)
class RunState:
    """One state of a run's history.

    Attributes:
        type: Prefect's type of state: SCHEDULED, PENDING, RUNNING, CANCELLING, CRASHED and so on.
        at: when it began, aware.
        name: Prefect's or edgecap's name of it, such as `WaitingForLane`.
    """

    type: str
    at: datetime
    name: str = ""


def crashes(history: Iterable[RunState]) -> int:
    """How many of a run's lives ended in a crash. A crash that is reported twice counts once."""
    count, lived = 0, False
    for state in sorted(history, key=lambda state: state.at):
        if state.type in ("PENDING", "RUNNING"):
            lived = True
        elif state.type == "CRASHED":
            count += lived
            lived = False
    return count


def is_to_end(history: Iterable[RunState]) -> bool:
    """Whether the run was cancelled, and not started anew since.

    A later state that edgecap or Prefect's engine writes does not undo a cancel: the history keeps it. Only a
    person starts a run anew, which schedules it.
    """
    wanted = ended = False
    for state in sorted(history, key=lambda state: state.at):
        if ended and _is_new_start(state):
            wanted = ended = False
        wanted = wanted or state.type in ("CANCELLING", "CANCELLED")
        ended = ended or state.type in ("CANCELLED", "COMPLETED", "FAILED")
    return wanted


def is_suspended(history: Iterable[RunState]) -> bool:
    """Whether a person has suspended the run, and not resumed it yet."""
    last = max(history, key=lambda state: state.at, default=None)
    return last is not None and (last.type, last.name) == ("PAUSED", SUSPENDED)


def _is_new_start(state: RunState) -> bool:
    """Whether a state after a run's end means that a person started it anew, in the UI or by a command."""
    return state.type == "SCHEDULED" and not state.name.startswith(WAITING) and state.name != LATE


def judge(
    history: Iterable[RunState],
    *,
    now: datetime,
    gone: bool | None,
    silent: bool,
    can_restart: bool,
    worker: StartingWorker | None = None,
) -> Recovery:
    """What to do about a run.

    Args:
        history: its states.
        now: the time.
        gone: whether the process of its present life has ended; None if this machine cannot tell.
        silent: whether it has missed its heartbeats; counts only if `gone` is None.
        can_restart: whether a worker could take it up.
        worker: the worker that is starting it, if it is PENDING; None if no worker has said so.
    """
    states = sorted(history, key=lambda state: state.at)
    if not states:
        return Recovery.LEAVE
    state, age = states[-1], now - states[-1].at
    dead = {
        "CRASHED": age < TOO_OLD,
        "PENDING": age > SETTLING and _never_begins(state.at, now, worker),
        "RUNNING": age > SETTLING and (silent if gone is None else gone),
        "CANCELLING": (age > SETTLING and gone is True) or age > ENDING,
    }.get(state.type, False)
    if not dead:
        young = state.type in ("RUNNING", "CANCELLING") and age <= SETTLING and gone
        starting = state.type == "PENDING" and age <= UNSEEN + SETTLING
        return Recovery.LOOK_AGAIN if young or starting else Recovery.LEAVE
    if is_to_end(states):
        return Recovery.CANCEL
    reported = state.type == "CRASHED"
    if can_restart and crashes(states) + (not reported) < MAX_LIVES:
        return Recovery.TAKE_UP
    return Recovery.LEAVE if reported else Recovery.GIVE_UP


def _never_begins(since: datetime, now: datetime, worker: StartingWorker | None) -> bool:
    """Whether no process will start for a run that has been PENDING since `since`."""
    if now - since > STARTING:
        return True
    if worker is None or worker.seen is None:
        return now - since > UNSEEN
    # Its worker is another process now, or has gone silent.
    return (worker.started is not None and worker.started > since) or now - worker.seen > UNSEEN
