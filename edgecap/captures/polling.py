"""How long to wait between two looks at a capture, and when to stop looking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import UnknownToApi

GROWTH = 1.5
SHOWN_WITHIN = timedelta(minutes=5)  # a capture that was accepted is known by its id by then
WAKE_AFTER = 1.0  # seconds after the time limit's end; the promise is two at most
STAY = 60.0  # seconds at the beginning and at the end of a capture in which somebody looks all the time
PAUSE_MOST = 600.0  # seconds


async def look(client: Client, capture: Capture) -> Capture:
    """The capture as it is now; as it was accepted, if the API does not know it by its id yet.

    Raises:
        ApiError: it cannot be had.
    """
    try:
        return await client.get_capture(capture.id)
    except UnknownToApi:
        if capture.submitted and client.server_now() - capture.submitted < SHOWN_WITHIN:
            return capture
        raise


@dataclass(frozen=True, slots=True)
class Poll:
    """The plan for one capture.

    Attributes:
        submitted: when it was submitted.
        time_limit: seconds it may capture for; 0 for a simple one, which looks back and ends at once.
        first: the first wait, in seconds.
        most: the longest wait, in seconds.
        margin: seconds after the time limit in which it must become final.
    """

    submitted: datetime
    time_limit: float
    first: float
    most: float
    margin: float

    @property
    def ends(self) -> datetime:
        """When the capture itself should be over; its conversion comes after that."""
        return self.submitted + timedelta(seconds=self.time_limit)

    @property
    def deadline(self) -> datetime:
        """When we stop waiting for it."""
        return self.ends + timedelta(seconds=self.margin)

    def progress(self, now: datetime) -> float:
        """Per cent of the time limit that has passed, 0 to 99: only a final status is 100."""
        if self.time_limit <= 0:
            return 50.0
        share = (now - self.submitted).total_seconds() / self.time_limit
        return min(99.0, max(0.0, share * 99.0))

    def wait(self, last: float, now: datetime) -> float:
        """Seconds until the next look, given the last wait (0 before the first).

        Waits grow by half from `first` to `most`; the one that would sleep across the end of the time limit
        is cut short so that we look within two seconds after it, and from there they grow anew.
        """
        grown = self.first if last <= 0 else min(self.most, last * GROWTH)
        wake = (self.ends - now).total_seconds() + WAKE_AFTER
        if 0 < wake < grown:
            return wake
        if last > 0 and wake <= 0 and wake > -last:  # we crossed the end just now
            return self.first
        return grown

    def pause(self, now: datetime) -> float:
        """Seconds for which nothing is expected of the capture, so that nobody need stay and look; or 0.

        It may end early, by a limit or because somebody stops it. So the first `STAY` seconds are watched,
        and later pauses grow with its age up to `PAUSE_MOST`. The last one ends with its time.
        """
        age = (now - self.submitted).total_seconds()
        left = (self.ends - now).total_seconds() + WAKE_AFTER
        if age < STAY or left < STAY:
            return 0.0
        return min(left, max(STAY, age), PAUSE_MOST)

    def waits(self, start: datetime) -> Iterator[float]:
        """The whole series of waits from `start` to the deadline, if every look took no time."""
        now, last = start, 0.0
        while now < self.deadline:
            last = self.wait(last, now)
            yield last
            now += timedelta(seconds=last)
