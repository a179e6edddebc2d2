"""Which time simple captures look at: the stretch around an attack's start or end, in tiles the API takes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from edgecap.alerts.model import Alert
from edgecap.requests import LOOK_BACK

WAITING = timedelta(
    minutes=30
)  # a capture may wait so long in its lane, and its window must still be kept then


@dataclass(frozen=True, slots=True)
class Tile:
    """A window of one simple capture, in whole seconds, UTC."""

    begins: datetime
    ends: datetime

    @property
    def seconds(self) -> int:
        """Its length: the request's `time_limit`."""
        return int((self.ends - self.begins).total_seconds())

    def __str__(self) -> str:
        """Such as `06:27:00 to 06:31:30 UTC`."""
        return f"{self.begins:%H:%M:%S} to {self.ends:%H:%M:%S} UTC"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tiles in the order in which they are to be taken, and what there is to say about them."""

    tiles: tuple[Tile, ...]
    remarks: tuple[str, ...] = ()


def before(alert: Alert, seconds: int, *, longest: int, now: datetime) -> Stretch:
    """From `seconds` before the attack's start up to now, but at most `seconds` past the start.

    The tile with the start in it comes first: if only one is granted, it shows how it began.

    Args:
        alert: its start counts; without one, it began when it was received.
        seconds: how far to reach back.
        longest: seconds that one capture may look at.
        now: nothing later can be asked for.
    """
    remarks = []
    reach = timedelta(seconds=seconds)
    oldest = now - LOOK_BACK + WAITING
    started = alert.started or alert.received
    if alert.started is None:
        remarks.append("the alert does not say when it began, so it is taken to have begun when it arrived")
    elif started > now:
        remarks.append(
            f"the alert says that it began {_at(started)}, which is yet to come; now counts instead"
        )
    started = min(started, now)
    if min(now, started + reach) <= oldest:
        remarks.append(
            f"it began {_at(started)}, and packets from then are no longer kept; "
            f"the last {seconds} seconds are taken instead"
        )
        started = now
    begins = started - reach
    if begins < oldest:
        remarks.append(f"packets from before {_at(oldest)} may be gone when a capture's turn comes: left out")
        begins = oldest
    tiles = tile(begins, min(now, started + reach), longest)
    first = [each for each in tiles if each.begins <= started <= each.ends][:1]
    return Stretch((*first, *(each for each in tiles if each not in first)), tuple(remarks))


def after(alert: Alert, seconds: int, *, longest: int, now: datetime) -> Stretch:
    """The `seconds` that follow the end; they may have yet to pass."""
    ended = min(alert.ended or alert.received, now)
    if ended <= now - LOOK_BACK + WAITING:
        return Stretch((), (f"it ended {_at(ended)}, and packets from then are no longer kept",))
    return Stretch(tuple(tile(ended, ended + timedelta(seconds=seconds), longest)))


def tile(begins: datetime, ends: datetime, longest: int) -> list[Tile]:
    """As few tiles as it takes, as equal as whole seconds allow; they follow each other without a gap.

    Equal, because a capture holds 10,000 packets at most, and a short one would show more than its share.
    """
    begins, ends = begins.replace(microsecond=0), ends.replace(microsecond=0)
    seconds = int((ends - begins).total_seconds())
    count = -(-seconds // longest)
    edges = (
        [begins + timedelta(seconds=seconds * number // count) for number in range(count + 1)]
        if count
        else []
    )
    return [Tile(*pair) for pair in pairwise(edges)]


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
