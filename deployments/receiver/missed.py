"""Noting alerts that led to nothing, and having people told of them without flooding a channel.

What the receiver refuses is counted in memory and written within a second, so that a storm of refusals costs
a commit a second. What it took, but captures nothing for, is written with that decision. People are told
through the channels of `incidents.notify`: at most once in ten minutes, at most once an hour of the same
thing, and a few lines at a time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from deployments.receiver.loop import Loop
from deployments.receiver.metrics import Metrics
from edgecap.alerts.model import derive
from edgecap.errors import EdgecapError
from edgecap.incidents.inbox.alert_inbox import AlertInbox
from edgecap.incidents.inbox.missed import Kind, Missed, reason_of
from edgecap.units import plural, stamp

FLUSH = 1.0  # seconds between two commits
MOST_NOTED = 2000  # things noted between two commits; more are only counted by the metrics
SPACING = 600.0  # seconds between two notifications
GATHER = 15.0  # seconds from the first thing to tell to its notification: a storm has more of them
AGAIN = 60.0  # seconds until a notification is tried again that Prefect did not take
LOOK = 60.0  # seconds between two looks at failed notifications
RECENT = timedelta(days=1)
_LINES = 10  # of a notification
_ASKED = 500  # things that are looked at for one

_WORDS: dict[Kind, str] = {
    "refused": "refused",
    "unauthorized": "refused for a wrong secret",
    "cut off": "left out by their sender",
    "put aside": "put aside",
    "not captured": "not captured",
}

_log = logging.getLogger("edgecap.receiver")


def _now() -> datetime:
    return datetime.now(UTC)


class Teller(Protocol):
    """Has people told: `deployments.receiver.dispatch.Dispatch`."""

    def tell(self, key: str, subject: str, page: str) -> str:
        """Have every channel told, once for a key. Returns the run's id, or raises SetupError."""

    def failed_notifications(self, since: datetime) -> int:
        """How many notifications failed since then; raises SetupError."""


class MissedLog:
    """Notes what led to nothing, from any thread, and has people told of it.

    Args:
        inbox: where it is written.
        teller: has people told; None if there are no channels.
        metrics: what it counts.
        clock: the time, aware.
        ticks: seconds, from any start.
    """

    def __init__(
        self,
        inbox: AlertInbox,
        teller: Teller | None,
        *,
        metrics: Metrics,
        clock: Callable[[], datetime] = _now,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._teller = teller
        self._metrics = metrics
        self._clock = clock
        self._ticks = ticks
        self._lock = threading.Lock()
        self._noted: dict[tuple[str, ...], Missed] = {}
        self._has_news = False  # written by others, and to be told
        self._flush_at = self._look_at = ticks()
        self._tell_at: float | None = None  # unless there is nothing to tell
        self._not_before = ticks()
        self._trouble = ""
        self.loop = Loop("noting missed alerts", self.step)

    def __repr__(self) -> str:
        return f"<MissedLog [{len(self._noted)} not written yet] {self.loop!r}>"

    def note(
        self, kind: Kind, source: str, reason: str, *, sender: str = "", size: int = 0, tell: bool = True
    ) -> None:
        """Note one notification that was not taken; it is written within a second.

        Args:
            kind: what happened.
            source: its name; ours, never text that was sent.
            reason: why, for people.
            sender: the address that it came from.
            size: bytes, as far as it is known.
            tell: whether people are told. They are not, of what anybody can cause.
        """
        self._metrics.missed.labels(source, kind).inc()
        one = replace(self.make(kind, source, reason, size=size), sender=sender, told=0 if tell else 1)
        with self._lock:
            is_first = not self._noted
            self._add(one)
        if is_first:  # it looks again in time for the others
            self.loop.wake()

    def make(self, kind: Kind, source: str, reason: str, *, size: int = 0) -> Missed:
        """An alert that was taken, but led to nothing, for the inbox to write with the decision."""
        at = self._clock()
        return Missed(kind, source, "", reason_of(reason), at, at, size=size)

    def written(self, found: Iterable[Missed]) -> None:
        """Count what the inbox has written, and have people told of it."""
        for each in found:
            self._metrics.missed.labels(each.source, each.kind).inc(each.count)
            self._has_news = True
        if self._has_news:
            self.loop.wake()

    def _add(self, one: Missed) -> None:
        key = (one.kind, one.source, one.sender, one.reason)
        if known := self._noted.get(key):
            self._noted[key] = replace(
                known,
                first=min(known.first, one.first),
                last=max(known.last, one.last),
                count=known.count + one.count,
                size=max(known.size, one.size),
                told=known.told + one.told,
            )
        elif len(self._noted) < MOST_NOTED:
            self._noted[key] = one

    def step(self) -> float:
        """Write what is due and tell what is due; the seconds until the next step."""
        now = self._ticks()
        try:
            if self._noted and now >= self._flush_at:
                self._flush_at = now + FLUSH
                self.flush()
        except EdgecapError as error:
            self._flush_at = now + AGAIN
            self._say(f"what led to nothing could not be written down: {error}")
        if self._has_news:
            self._has_news = False
            self._gather()
        if self._teller:
            self._tell(self._teller, now)
        waits = [self._look_at - now if self._teller else LOOK]
        waits += [self._flush_at - now] if self._noted else []
        waits += [self._tell_at - now] if self._tell_at is not None else []
        return max(0.05, min(waits))

    def flush(self) -> None:
        """Write what was noted.

        Raises:
            StoreError: nothing was written, and it is noted still.
        """
        with self._lock:
            noted, self._noted = self._noted, {}
        try:
            self._inbox.missed.note(noted.values())
        except EdgecapError:
            with self._lock:
                for each in noted.values():
                    self._add(each)
            raise
        if any(not each.told for each in noted.values()):
            self._gather()

    def _gather(self) -> None:
        """Have people told soon, with what else comes until then."""
        if self._tell_at is None:
            self._tell_at = max(self._not_before, self._ticks() + GATHER)

    def _tell(self, teller: Teller, now: float) -> None:
        try:
            if now >= self._look_at:
                self._look_at = now + LOOK
                self._metrics.notifications_failed.set(teller.failed_notifications(self._clock() - RECENT))
                if self._tell_at is None and self._inbox.missed.untold(self._clock() - RECENT, 1):
                    self._tell_at = max(self._not_before, now)  # from before a restart
            if self._tell_at is not None and now >= self._tell_at:
                self._tell_at = now + AGAIN
                if found := self._inbox.missed.untold(self._clock() - RECENT, _ASKED):
                    subject, page = digest(found)
                    run = teller.tell(derive(*map(repr, found)), subject, page)
                    self._inbox.missed.tell(found)
                    _log.info("people are told of alerts that led to nothing: run %s", run)
                    self._not_before = now + SPACING
                self._tell_at = None
            self._trouble = ""
        except EdgecapError as error:
            self._say(f"nobody could be told of alerts that led to nothing: {error}")

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            _log.warning("%s", trouble)
        self._trouble = trouble


def digest(found: Sequence[Missed]) -> tuple[str, str]:
    """A subject and a page in Markdown about what led to nothing.

    Args:
        found: the most frequent first; not empty.
    """
    counts: dict[Kind, int] = {}
    for each in found:
        counts[each.kind] = counts.get(each.kind, 0) + each.count
    told = ", ".join(f"{count:,} {_WORDS[kind]}" for kind, count in counts.items())
    lines = [f"Alerts that led to no capture: {told}.", ""]
    for each in found[:_LINES]:
        times = f" ({each.count:,} times)" if each.count > 1 else ""
        sender = f" (sent from {each.sender})" if each.sender else ""
        lines.append(
            f"- {stamp(each.last)}, {each.source}{sender}, {_WORDS[each.kind]}{times}: {_plain(each.reason)}"
        )
    if len(found) > _LINES:
        lines.append(f"- and {plural(len(found) - _LINES, 'other reason')}")
    lines += [
        "",
        "`edgecap alert list` and `edgecap alert list --refused` show them on the receiver's machine.",
    ]
    return f"edgecap: alerts led to no capture: {told}", "\n".join(lines)


def _plain(text: str) -> str:
    """Text of a stranger, without what Markdown would make links, images or headings of."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>!#|" else letter for letter in text)
