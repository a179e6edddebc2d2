"""The line in front of a lane: which runs wait, which goes next, and when each can expect its turn.

Alerts go before manual captures, and those before schedules; among equals, the longest wait goes first. A run
that has waited longer than `patience` is urgent. So that no run starves, every second turn goes to the urgent
run that has waited longest, whatever its priority.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

GRACE = timedelta(seconds=15)  # the others do not wait for a run that is more overdue than this
CHANGE_OVER = timedelta(seconds=15)  # of a full lane: converting, delivering, and the next one's start


# How a run that waits is marked: by a tag, to be found, and by labels.
SINCE, PRIORITY, HOLDS = "edgecap.waiting-since", "edgecap.priority", "edgecap.holds"
LANES = "edgecap.lanes"  # what the account's lanes are known by


def slot_name(kind: str, lanes: str) -> str:
    """What a lane's global concurrency limit and its variable are called in Prefect.

    Args:
        kind: the lane's type.
        lanes: what the account's lanes are known by (`Account.lanes`).
    """
    return f"edgecap_{kind}_{lanes}"


def lane_tag(kind: str) -> str:
    """The tag of runs that wait for a lane of this type, for people; the label `LANES` says of which account.

    Prefect finds runs by tags, and not by labels.
    """
    return f"waits for {kind} lane"


class Priority(IntEnum):
    """What a request is for; a lower number goes first. Runs in line carry these numbers in their labels."""

    ALERT = 1
    MANUAL = 2
    SCHEDULE = 3


@dataclass(frozen=True, slots=True)
class Waiter:
    """A run that waits for a lane. Times are aware, on the clock of the machines that wait.

    Attributes:
        name: the flow run's id.
        priority: what the request is for.
        since: when it began to wait.
        wakes: when it will look at the lane next.
        holds: how long its capture will occupy a full lane; zero for a simple one.
    """

    name: str
    priority: Priority
    since: datetime
    wakes: datetime
    holds: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """The place of a waiter in line.

    Attributes:
        ahead: the waiters that go first, in order.
        yields: whether one of them is about to take the next free turn.
    """

    ahead: tuple[Waiter, ...]
    yields: bool


def in_order(
    waiters: Iterable[Waiter], *, now: datetime, patience: timedelta, urgent_went: bool = False
) -> list[Waiter]:
    """The waiters in the order of their turns.

    Args:
        waiters: all of them.
        now: the time, on their clock.
        patience: a waiter is urgent after this time.
        urgent_went: whether the last turn went to an urgent one; then the next goes by priority.
    """
    everybody = sorted(waiters, key=lambda waiter: (waiter.priority, waiter.since, waiter.name))
    overdue = [waiter for waiter in everybody if now - waiter.since >= patience]
    by_priority = deque(everybody)
    by_age = deque(sorted(overdue, key=lambda waiter: (waiter.since, waiter.name)))
    order: dict[str, Waiter] = {}
    turn_of_urgent = not urgent_went
    while len(order) < len(everybody):
        queue = by_age if turn_of_urgent and by_age else by_priority
        waiter = queue.popleft()
        if waiter.name not in order:
            order[waiter.name] = waiter
            turn_of_urgent = not turn_of_urgent
    return list(order.values())


def turn_takes(waiter: Waiter, spacing: timedelta) -> timedelta:
    """For how long the turn of a waiter keeps its lane from the next one, on the server's clock.

    Args:
        waiter: whose turn it is.
        spacing: between two simple requests.
    """
    return waiter.holds + CHANGE_OVER if waiter.holds else spacing


def place_of(me: Waiter, order: Sequence[Waiter], *, free: datetime, now: datetime) -> QueuePosition:
    """The place of `me` in line.

    Waiters more than `GRACE` overdue are left out: their worker is down or they are dead, and they get in
    line again when they come back. A waiter that sleeps past the time at which the lane is free, because it
    was told a later one, keeps its place but loses this turn: else the lane would be idle.

    Args:
        me: one of `order`.
        order: from `in_order`.
        free: when the lane is free, on the clock of the waiters.
        now: the time on it.
    """
    names = [waiter.name for waiter in order]
    ahead = tuple(waiter for waiter in order[: names.index(me.name)] if waiter.wakes >= now - GRACE)
    yields = any(waiter.wakes <= max(free, now) + GRACE for waiter in ahead)
    return QueuePosition(ahead, yields)
