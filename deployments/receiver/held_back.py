"""How many alerts joined or repeated an incident: from the inbox into the archive, for every machine."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from deployments.receiver.loop import Loop
from edgecap.errors import EdgecapError
from edgecap.incidents.inbox.alert_inbox import AlertInbox
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.record import HeldBack

RECENT = timedelta(days=2)  # an incident that is silent for longer has its last counts in the archive
LONGEST = timedelta(hours=1)
SPACING = 1.0  # seconds between two looks at the inbox, however many alerts arrive
IDLE = 60.0  # seconds; a settled alert wakes it

_log = logging.getLogger("edgecap.receiver")


def _now() -> datetime:
    return datetime.now(UTC)


class HeldBackWriter:
    """Writes the counts of each incident, in a thread of its own: an archive that is away delays no alert.

    The archive keeps every object for good. So while an incident goes on, it gets new counts after as long as
    it has gone on already, an hour at most; once it is over, its final counts at once. After a restart the
    last counts are written again, which changes nothing.

    Args:
        inbox: where alerts are counted.
        incidents: opens the archive's.
        clock: the time, aware.
        ticks: seconds, from any start.
    """

    def __init__(
        self,
        inbox: AlertInbox,
        incidents: Callable[[], Incidents],
        *,
        clock: Callable[[], datetime] = _now,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._open = incidents
        self._incidents: Incidents | None = None
        self._clock = clock
        self._ticks = ticks
        self._look_at = ticks()
        self._written: dict[str, tuple[HeldBack, datetime]] = {}  # counts, and when to write newer ones
        self._trouble = ""
        self.loop = Loop("counting alerts", self.step)

    def __repr__(self) -> str:
        return f"<HeldBackWriter [{len(self._written)} incidents] {self.loop!r}>"

    def step(self) -> float:
        """Write what is due; the seconds until the next look."""
        if (wait := self._look_at - self._ticks()) > 0:
            return wait
        self._look_at = self._ticks() + SPACING
        try:
            self._write()
        except EdgecapError as error:
            if str(error) != self._trouble:
                _log.warning("the archive does not have the newest counts of alerts: %s", error)
            self._trouble = str(error)
            self._look_at = self._ticks() + IDLE
            return IDLE
        self._trouble = ""
        return IDLE

    def _write(self) -> None:
        now = self._clock()
        recent = self._inbox.held_back(now - RECENT)
        self._written = {
            each.incident: self._written[each.incident] for each in recent if each.incident in self._written
        }
        for each in recent:
            counts = HeldBack(joined=each.joined, repeated=each.repeated)
            written, due = self._written.get(each.incident, (None, now))
            if counts == written or (now < due and not each.closed):
                continue
            self._incidents = self._incidents or self._open()
            self._incidents.count(each.incident, counts)
            self._written[each.incident] = (counts, now + min(now - each.opened, LONGEST))
            if self.loop.ending:
                return
