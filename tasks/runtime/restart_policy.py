"""When a run that died is taken up again, and when it is given up.

A run's life ends when its process is killed, or when its machine goes. What it had begun goes on where it
was: the journal knows. A run that dies again and again would do so for ever, so there is a cap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

MOST_LIVES = 5
STARTING = timedelta(
    minutes=5
)  # from a worker's taking a run to its running; longer, and it has lost the run
UNSEEN = timedelta(seconds=90)  # a worker that is alive says so every 30 seconds
SETTLING = timedelta(seconds=10)  # in which a run that begins has said which process it is
ENDING = timedelta(minutes=1)  # in which a process that is asked to end has ended
WAITING = "WaitingFor"  # how the names of all states begin that edgecap schedules a run into
LATE = "Late"  # what Prefect calls any of them when no worker took the run in time
TOO_OLD = timedelta(hours=24)  # who crashed longer ago is not taken up: what it wanted is past


@dataclass(frozen=True, slots=True)
class StartingWorker:
    """The worker that took a run and is starting it.

    Attributes:
        seen: when it last gave a sign of life, aware; None if it is not known at all.
        started: when a worker of its name last started, aware; None if that is not known.
    """

    seen: datetime | None
    started: datetime | None = None


class Recovery(StrEnum):
    """What to do about a run."""

    LEAVE = "leave"  # it lives, waits, or is over
    LOOK_AGAIN = "look again"  # it is beginning: it may be dead, or has not said yet which process it is
    TAKE_UP = "take up"
    GIVE_UP = "give up"  # say that it crashed, and leave it at that
    CANCEL = "cancel"  # somebody wanted it cancelled, and no process is left that could obey


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
    """How many of a run's lives ended in a crash; a crash that is reported twice is one."""
    count, lived = 0, False
    for state in sorted(history, key=lambda state: state.at):
        if state.type in ("PENDING", "RUNNING"):
            lived = True
        elif state.type == "CRASHED":
            count += lived
            lived = False
    return count


def is_to_end(history: Iterable[RunState]) -> bool:
    """Whether somebody has cancelled the run, and it has not been started anew since.

    Whatever edgecap or Prefect's engine writes over a cancel does not undo it: the history keeps it. Only a
    person starts a run anew, and schedules it for that.
    """
    wanted = ended = False
    for state in sorted(history, key=lambda state: state.at):
        if ended and _is_new_start(state):
            wanted = ended = False
        wanted = wanted or state.type in ("CANCELLING", "CANCELLED")
        ended = ended or state.type in ("CANCELLED", "COMPLETED", "FAILED")
    return wanted


def _is_new_start(state: RunState) -> bool:
    """Whether a state after a run's end is a person's doing: Prefect's UI and commands schedule it."""
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
        gone: whether the process of its present life has ended; None if nobody here can tell.
        silent: whether it has given no sign of life for too long; counts where `gone` is not known.
        can_restart: whether a worker could take it up.
        worker: the worker that is starting it; None if none has said so. Counts for a run that is PENDING.
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
    if can_restart and crashes(states) + (not reported) < MOST_LIVES:
        return Recovery.TAKE_UP
    return Recovery.LEAVE if reported else Recovery.GIVE_UP


def _never_begins(since: datetime, now: datetime, worker: StartingWorker | None) -> bool:
    """Whether no process will come of a run that has been PENDING since `since`."""
    if now - since > STARTING:
        return True
    if worker is None or worker.seen is None:
        return now - since > UNSEEN
    # Its worker is another process now, or has gone silent.
    return (worker.started is not None and worker.started > since) or now - worker.seen > UNSEEN
