"""The findings of reconciling, what was done about each, and how long things are left alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Literal


class Life(StrEnum):
    """The state of the run that decided on an intent."""

    ALIVE = "alive"  # it works, waits for its turn, or will be taken up again: its intent is left alone
    DEAD = "dead"  # it has ended, and will not be taken up again
    CANCELLED = "cancelled"  # a person ended it
    UNKNOWN = "unknown"  # this Prefect server does not know it: it may be alive at another server


class Action(StrEnum):
    """What was done about a finding."""

    ARCHIVED = "archived"  # its packets are in the archive now, or were there already
    ENDED = "ended"  # it is over without packets, and the journal says why
    WAITING = "waiting"  # it is too early, or an error may pass: the next reconcile looks again
    REMOVED = "removed"
    REPORTED = "reported"  # only a person can decide about it
    FAILED = "failed"  # it could not be looked at; nothing was changed


Kind = Literal["intent", "capture", "orphan", "temporary", "survey"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was left behind.

    Attributes:
        kind: `intent`: an intent without an ending. `capture`: a listed capture without an entry. `orphan`:
            files without a manifest. `temporary`: unfinished files. `survey`: something could not be read.
        subject: the intent's or capture's id, or the store's URI.
        action: what was done about it.
        detail: one line for people, with the error if there was one.
        files: number of the orphan's files, or of those that were removed.
        bytes: their size.
    """

    kind: Kind
    subject: str
    action: Action
    detail: str
    files: int = 0
    bytes: int = 0

    def __str__(self) -> str:
        """Such as `intent 0af1...: archived: 30 packets in 1 file: file:/archive/captures/...`."""
        return f"{self.kind} {self.subject}: {self.action}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Reconciled:
    """All findings of one reconcile, in the order in which they were dealt with."""

    findings: tuple[Finding, ...] = ()

    def count(self, action: Action) -> int:
        """The number of findings about which this was done."""
        return Counter(finding.action for finding in self.findings)[action]

    @property
    def finished(self) -> int:
        """The number of captures and intents that are over now, with packets or without."""
        return self.count(Action.ARCHIVED) + self.count(Action.ENDED)

    @property
    def removed(self) -> int:
        """The number of temporary files that were removed."""
        return sum(finding.files for finding in self.findings if finding.action is Action.REMOVED)

    def __str__(self) -> str:
        """Such as `2 finished, 1 waiting, 14 temp files removed`, or `nothing was left behind`."""
        removed = self.removed
        parts = [
            (self.finished, "finished"),
            (self.count(Action.WAITING), "waiting"),
            (self.count(Action.REPORTED), "for a person to look at"),
            (self.count(Action.FAILED), "in trouble"),
            (removed, f"temp file{'' if removed == 1 else 's'} removed"),
        ]
        return ", ".join(f"{count} {what}" for count, what in parts if count) or "nothing was left behind"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things are left alone.

    Attributes:
        give_up: packets that cannot be fetched this long after the capture's end are given up.
        list_lag: an intent decided, or a capture accepted, less than this ago may be missing from the API's
            list. On the server's clock.
        second_look: the API's list must miss an intent's capture twice, this far apart, before the intent
            counts as never accepted. On this machine's clock.
        stopped_files: how long to wait for the files of a cancelled run's capture after it was stopped: a
            stop may lose them. On the server's clock.
        stop_wait: how long to wait until a stopped capture is final; after that, the next reconcile takes it.
        orphan: files without a manifest are reported if nothing was added to them for this long.
        temporary: temporary files are removed if nothing was written to them for this long. A live fetch
            must not go without a byte for as long.
        uploads: uploads in parts that are this old and not completed are aborted.
    """

    give_up: timedelta = timedelta(hours=24)
    list_lag: timedelta = timedelta(minutes=5)
    second_look: timedelta = timedelta(minutes=1)
    stopped_files: timedelta = timedelta(hours=1)
    stop_wait: timedelta = timedelta(0)
    orphan: timedelta = timedelta(days=1)
    temporary: timedelta = timedelta(hours=6)
    uploads: timedelta = timedelta(days=1)
