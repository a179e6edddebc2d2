"""How long to wait between two looks at a capture, and when to stop looking."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from edgecap.clock import ServerClock
from edgecap.cloudflare.client import Client
from edgecap.cloudflare.models import Capture
from edgecap.errors import UnknownToApi

GROWTH = 1.5
SHOWN_WITHIN = timedelta(minutes=5)  # the API knows an accepted capture's id by then
WAKE_AFTER = timedelta(seconds=1)  # after the time limit's end; the promise is two at most
STAY = timedelta(minutes=1)  # the run keeps looking in the first and in the last minute of a capture
PAUSE_MOST = timedelta(minutes=10)


async def look(client: Client, capture: Capture) -> Capture:
    """The capture as it is now, or as it was accepted if the API does not know its id yet.

    Raises:
        ApiError: the API does not give it.
    """
    try:
        return await client.get_capture(capture.id)
    except UnknownToApi:
        if capture.submitted and client.server_now() - capture.submitted < SHOWN_WITHIN:
            return capture
        raise


@dataclass(frozen=True, slots=True)
class Poll:
    """The plan for one capture. Waits are on our clock, times and the capture's seconds on the server's.

    Attributes:
        clock: the server's.
        submitted: when the capture was submitted.
        time_limit: seconds it may capture for; 0 for a simple one, which looks back and ends at once.
        first: the first wait, in seconds.
        most: the longest wait, in seconds.
        margin: seconds after the time limit in which it must become final.
    """

    clock: ServerClock
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

    def progress(self) -> float:
        """Per cent of the time limit that has passed, 0 to 99: only a final status is 100."""
        if self.time_limit <= 0:
            return 50.0
        share = (self.clock.now() - self.submitted).total_seconds() / self.time_limit
        return min(99.0, max(0.0, share * 99.0))

    def wait(self, last: float) -> float:
        """Seconds until the next look, given the last wait (0 before the first).

        Waits grow by half from `first` to `most`. A wait that would sleep across the end of the time limit
        is cut short, so that a look follows within two seconds after it; from there they grow anew.
        """
        grown = self.first if last <= 0 else min(self.most, last * GROWTH)
        wake = self.clock.until(self.ends + WAKE_AFTER).total_seconds()
        if 0 < wake < grown:
            return wake
        if last > 0 and wake <= 0 and wake > -last:  # we crossed the end just now
            return self.first
        return grown

    def pause(self) -> float:
        """Seconds in which nothing is expected of the capture, so that its run need not stay; or 0.

        It may end early, by a limit or because somebody stops it. So the first minute is watched, and later
        pauses grow with its age up to `PAUSE_MOST`. The last one ends with its time.
        """
        now = self.clock.now()
        age, left = now - self.submitted, self.ends + WAKE_AFTER - now
        if age < STAY or left < STAY:
            return 0.0
        return self.clock.here(min(left, age, PAUSE_MOST)).total_seconds()
