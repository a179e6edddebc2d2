"""The line in front of a lane: who waits, who goes next, and when each can expect its turn.

Alerts go before what people start, and that before schedules; among equals, who has waited longer. So that
nobody starves, who has waited longer than `patience` counts as urgent: then every second turn goes to the
one that has waited longest, whatever its priority.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

GRACE = timedelta(seconds=15)  # who was expected longer ago than this is late, and the others need not wait
CHANGE_OVER = timedelta(seconds=15)  # of a full lane: converting, delivering, and the next one's start


# How a run that waits is marked: by a tag, to be found, and by labels.
SINCE, PRIORITY, HOLDS = "edgecap.waiting-since", "edgecap.priority", "edgecap.holds"


def slot_name(kind: str, lanes: str) -> str:
    """What a lane's global concurrency limit and its variable are called in Prefect.

    Args:
        kind: the lane's type.
        lanes: what the account's lanes are known by (`Account.lanes`).
    """
    return f"edgecap_{kind}_{lanes}"


def lane_tag(kind: str, lanes: str) -> str:
    """The tag of runs that wait for a lane of an account, whose lanes are known by `lanes`."""
    return f"lane:{kind}:{lanes}"


class Priority(IntEnum):
    """What a request is for; a lower number goes first. Runs in line carry these numbers in their labels."""

    ALERT = 1
    MANUAL = 2
    SCHEDULE = 3


@dataclass(frozen=True, slots=True)
class Waiter:
    """Somebody who waits for a lane. Times are aware, on the clock of the machines that wait.

    Attributes:
        name: the flow run's id, or whatever tells waiters apart.
        priority: what the request is for.
        since: when it began to wait.
        wakes: when it will look at the lane next.
        holds: how long its capture will keep a full lane; nothing for a simple one.
    """

    name: str
    priority: Priority
    since: datetime
    wakes: datetime
    holds: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """Where somebody stands in line.

    Attributes:
        ahead: who goes first, in order.
        yields: whether one of them is about to take the turn that is free at `free`.
    """

    ahead: tuple[Waiter, ...]
    yields: bool


def in_order(
    waiters: Iterable[Waiter], *, now: datetime, patience: timedelta, urgent_went: bool = False
) -> list[Waiter]:
    """The order in which they go.

    Args:
        waiters: all who wait.
        now: the time, on their clock.
        patience: who has waited so long counts as urgent.
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


def place_of(me: Waiter, order: Sequence[Waiter], *, free: datetime, now: datetime) -> QueuePosition:
    """Where `me` stands.

    Who should have looked more than `GRACE` ago is left out: its worker is down or it is dead, and it gets in
    line again when it comes. Who sleeps past the time that the lane is free, because it was told a later one,
    keeps its place but loses this turn: an idle lane serves nobody.

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
