"""The time that simple captures cover around an attack's start or end, in windows that the API accepts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from edgecap.alerts.model import Alert
from edgecap.requests import LOOK_BACK
from edgecap.units import stamp

# A capture may wait this long in its lane. Cloudflare must still keep its window then.
WAITING = timedelta(minutes=30)


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
    """Tiles in the order in which they are captured, and remarks for people."""

    tiles: tuple[Tile, ...]
    remarks: tuple[str, ...] = ()


def gone(alert: Alert, seconds: int, *, now: datetime) -> str:
    """Why no packets of an attack's start are left; empty if there are some.

    Args:
        alert: it gives the start; without a start time, its arrival counts.
        seconds: how far around the start a rule reaches.
        now: the time.
    """
    started = alert.started or alert.received
    if started + timedelta(seconds=seconds) > now - LOOK_BACK + WAITING:
        return ""
    what = "the attack began" if alert.started else "the alert arrived"
    return f"{what} {stamp(started)}, and Cloudflare no longer keeps packets from then"


def before(alert: Alert, seconds: int, *, longest: int, now: datetime) -> Stretch:
    """From `seconds` before the attack's start up to now, but at most `seconds` past the start.

    Nothing, if all of it is `gone`.

    The tile that contains the start comes first: if only one capture is taken, it shows how the attack began.

    Args:
        alert: it gives the start; without a start time, its arrival counts.
        seconds: how far to reach back.
        longest: seconds that one capture may cover.
        now: the latest time that can be captured.
    """
    remarks = []
    reach = timedelta(seconds=seconds)
    oldest = now - LOOK_BACK + WAITING
    started = alert.started or alert.received
    if alert.started is None:
        remarks.append("the alert has no start time, so its arrival counts as the start")
    elif started > now:
        remarks.append(
            f"the alert's start time, {stamp(started)}, is in the future, so now counts as the start"
        )
    started = min(started, now)
    begins = started - reach
    if begins < oldest:
        remarks.append(
            f"left out: packets from before {stamp(oldest)} may be gone by the time a capture starts"
        )
        begins = oldest
    tiles = tile(begins, min(now, started + reach), longest)
    first = [each for each in tiles if each.begins <= started <= each.ends][:1]
    return Stretch((*first, *(each for each in tiles if each not in first)), tuple(remarks))


def after(alert: Alert, seconds: int, *, longest: int, now: datetime) -> Stretch:
    """The `seconds` after the end, which may lie in the future."""
    ended = min(alert.ended or alert.received, now)
    if ended <= now - LOOK_BACK + WAITING:
        return Stretch(
            (), (f"the attack ended {stamp(ended)}, and Cloudflare no longer keeps packets from then",)
        )
    return Stretch(tuple(tile(ended, ended + timedelta(seconds=seconds), longest)))


def tile(begins: datetime, ends: datetime, longest: int) -> list[Tile]:
    """The fewest tiles that cover the time, without gaps and of equal length to the second.

    Equal, because a capture holds 10,000 packets at most: a short one would show more packets a second.
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
