"""Lanes: when an account may start its next capture of a type, read from the API's own list.

Simple: one request a minute. Full: one pending or running at a time. Captures that people start in the
dashboard count. All times are the server's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from edgecap.cloudflare.models import Capture
from edgecap.requests import rfc3339
from edgecap.units import duration

_MINUTE = timedelta(minutes=1)

Kind = Literal["simple", "full"]

LAG = timedelta(minutes=5)  # the list shows a capture within this time after its submission
UNANSWERED = timedelta(minutes=1)  # the list shows by then whether a POST without an answer was accepted
# A remembered time further in the future than this was written by another clock, and is not trusted.
AHEAD = timedelta(seconds=5)
LOOK_MOST = timedelta(minutes=5)  # between two looks at a capture that still has time
LOOK_OVERDUE = timedelta(minutes=1)  # between two looks at a capture that is over and not final


@dataclass(frozen=True, slots=True)
class Admission:
    """When a run may start its capture, or should look again.

    Attributes:
        at: earliest start, on the server's clock. For a full lane that is busy: when to look again.
        reason: why it may not start now, in words for a run's state; empty if it may.
        busy_until: when the running capture should be over, if later than the next look: it may end early.
        ahead: how many others go first.
    """

    at: datetime
    reason: str = ""
    busy_until: datetime | None = None
    ahead: int = 0

    @property
    def now(self) -> bool:
        """Whether it may start."""
        return not self.reason

    @property
    def expected(self) -> datetime:
        """When it may start as things look now."""
        return max(self.at, self.busy_until or self.at)


@dataclass(frozen=True, slots=True)
class LastSubmission:
    """The last request of the lane: the API's list may not show it yet.

    It is recorded before the POST, so that it also tells of a run that died during its POST.

    Attributes:
        capture_id: the capture that was started; empty as long as that is not known.
        submitted: when, on the server's clock.
        urgent: whether its turn came because it had waited so long, not because of its priority.
    """

    capture_id: str
    submitted: datetime
    urgent: bool = False


def next_turn(
    kind: Kind,
    captures: Iterable[Capture],
    *,
    now: datetime,
    spacing: timedelta,
    look_again: timedelta,
    memory: LastSubmission | None = None,
) -> Admission:
    """When the next capture of `kind` may start.

    Args:
        kind: the lane.
        captures: what `GET /pcaps` shows.
        now: the server's time of that answer.
        spacing: between two simple requests.
        look_again: the shortest wait before looking at a busy full lane again.
        memory: the lane's last request. It counts only while the list may not show it yet, and never if it
            lies in the future: then another clock wrote it.
    """
    captures = list(captures)
    if memory and memory.submitted > now + AHEAD:
        memory = None
    ours = [capture for capture in captures if capture.type == kind]
    if kind == "simple":
        return _simple_turn(ours, now, spacing, memory)
    running = [capture for capture in ours if not capture.is_final]
    if running:
        last = max(running, key=lambda capture: ends(capture, now))
        over = ends(last, now)
        reason = f"full capture {last.id} is {last.status or 'not final'}"
        return Admission(now + _look_at(over - now, look_again), reason, over)
    if memory:
        age = now - memory.submitted
        if memory.capture_id and age < LAG and not _has_caught_up(captures, memory):
            return Admission(now + look_again, f"full capture {memory.capture_id} was just started")
        if not memory.capture_id and age < UNANSWERED:
            return Admission(
                min(memory.submitted, now) + UNANSWERED,
                "a full capture was requested, and its answer is not known",
            )
    return Admission(now)


def _has_caught_up(captures: Iterable[Capture], memory: LastSubmission) -> bool:
    """Whether the list shows the remembered capture, or would if there were one: it shows a later one."""
    return any(
        capture.id == memory.capture_id or (capture.submitted and capture.submitted > memory.submitted)
        for capture in captures
    )


def ends(capture: Capture, now: datetime) -> datetime:
    """When a capture's time is over, on the server's clock. A full one is converted and delivered after that.

    A simple capture looks back, so its time is over at once. The time of a full capture that was asked to
    stop is over at that request. `now` stands in for the time of submission if the API does not state it.
    """
    seconds = 0 if capture.type == "simple" else capture.time_limit or 0
    planned = (capture.submitted or now) + timedelta(seconds=seconds)
    return min(planned, capture.stop_requested or planned)


def _look_at(remaining: timedelta, look_again: timedelta) -> timedelta:
    """How long to leave a running capture alone: until its end, since it may be stopped or full before.

    Once its time is over, the looks get rarer: it is not documented how long a conversion takes.
    """
    if remaining > look_again:
        return min(remaining, LOOK_MOST)
    return min(max(look_again, -remaining / 4), LOOK_OVERDUE)


def _simple_turn(
    captures: list[Capture], now: datetime, spacing: timedelta, memory: LastSubmission | None
) -> Admission:
    starts = [(capture.submitted, capture.id) for capture in captures if capture.submitted]
    if memory:
        starts.append((memory.submitted, memory.capture_id))
    if not starts:
        return Admission(now)
    newest, capture_id = max(starts)
    free = min(newest, now) + spacing
    if free <= now:
        return Admission(now)
    what = f"simple capture {capture_id}" if capture_id else "a simple capture"
    often = "a minute" if spacing == _MINUTE else f"every {duration(spacing.total_seconds())}"
    return Admission(free, f"{what} was requested {rfc3339(newest)}, and only one {often} is allowed")
