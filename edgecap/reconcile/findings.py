"""What reconciling finds, what it did about it, and how long it leaves things alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Literal


class Life(StrEnum):
    """What became of the run that decided on an intent."""

    ALIVE = "alive"  # it works on it, waits for its turn, or will be taken up again: it is left alone
    DEAD = "dead"  # nobody works on it, and nobody will
    CANCELLED = "cancelled"  # likewise, because somebody wanted it to end
    UNKNOWN = "unknown"  # this Prefect server does not know it: it may be another one's, and alive there


class Action(StrEnum):
    """What was done about a finding."""

    ARCHIVED = "archived"  # its packets are in the archive now, or were already
    ENDED = "ended"  # it is over without packets, and the journal says why
    WAITING = "waiting"  # its time has not come, or there was trouble that may pass: the next time
    REMOVED = "removed"
    REPORTED = "reported"  # only a person can say what shall become of it
    FAILED = "failed"  # it could not be looked at; nothing was changed


Kind = Literal["intent", "capture", "orphan", "temporary", "survey"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was left behind.

    Attributes:
        kind: `intent`: one without an ending. `capture`: one of the API's list without an entry.
            `orphan`: files without a manifest. `temporary`: what nobody finished. `survey`: something could
            not be looked at.
        subject: the intent's or capture's id, or the store's URI.
        action: what was done about it.
        detail: one line for people, with the error if there was one.
        files: files that an orphan has, or that were removed.
        bytes: their bytes.
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
    """All that one reconciling found, in the order in which it was dealt with."""

    findings: tuple[Finding, ...] = ()

    def count(self, action: Action) -> int:
        """Findings about which this was done."""
        return Counter(finding.action for finding in self.findings)[action]

    @property
    def finished(self) -> int:
        """Captures and intents that are over now, with packets or without."""
        return self.count(Action.ARCHIVED) + self.count(Action.ENDED)

    @property
    def removed(self) -> int:
        """Temporary files that were removed."""
        return sum(finding.files for finding in self.findings if finding.action is Action.REMOVED)

    def __str__(self) -> str:
        """Such as `2 finished, 1 waiting, 14 temp files removed`; `nothing was left behind` if so."""
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
        give_up: packets that cannot be had so long after the capture's end are given up: the intent failed.
        list_lag: an intent decided, or a capture accepted, less than this ago may be missing from what the
            API shows. On the server's clock.
        second_look: the API's list must miss an intent's capture twice, so long apart, before the intent
            counts as never accepted. On this machine's clock.
        stopped_files: how long after a cancelled run's capture was stopped its files are waited for: a stop
            may lose them. On the server's clock.
        stop_wait: how long to wait for a capture that was stopped; else it is the next time's.
        orphan: files without a manifest are reported when nothing was added for so long.
        temporary: temporary files to which nothing was written for so long are removed: longer than a live
            fetch may go without a byte.
        uploads: uploads in parts that were begun so long ago, and not completed, are aborted.
    """

    give_up: timedelta = timedelta(hours=24)
    list_lag: timedelta = timedelta(minutes=5)
    second_look: timedelta = timedelta(minutes=1)
    stopped_files: timedelta = timedelta(hours=1)
    stop_wait: timedelta = timedelta(0)
    orphan: timedelta = timedelta(days=1)
    temporary: timedelta = timedelta(hours=6)
    uploads: timedelta = timedelta(days=1)
