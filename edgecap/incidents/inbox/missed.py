"""Alerts that led to nothing: refused, cut off by their sender, not understood, or not captured.

They are counted by the hour and the reason, and only so many rows are kept of each kind. So strangers fill no
disk, and do not push out what happened to alerts that were real.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from edgecap.incidents.columns import MICROSECOND, microseconds, moment, plain
from edgecap.incidents.inbox.database import Database
from edgecap.redact import redact

Kind = Literal["refused", "unauthorized", "cut off", "put aside", "not captured"]
"""What happened to them.

`refused`: the receiver did not take the notification. `unauthorized`: the same, since its secret was
missing or wrong, or its source is off. `cut off`: the sender left alerts out of it. `put aside`: no parser
understands it. `not captured`: nothing can be captured for the attack, or Prefect refused the run.
"""

MOST_ROWS = 500  # of a kind
LONGEST_REASON = 300  # characters
_HOUR = timedelta(hours=1) // MICROSECOND


@dataclass(frozen=True, slots=True)
class Missed:
    """Alerts of an hour that led to nothing for one reason.

    Attributes:
        kind: what happened to them.
        source: name of the source, such as cloudflare.
        sender: the address that they came from, if it was noted.
        reason: why, in a line for people.
        first: when the first of them arrived, aware.
        last: when the last did.
        count: how many there were.
        size: bytes of the largest, as far as it is known.
        told: how many of them need no notification any more.
    """

    kind: Kind
    source: str
    sender: str
    reason: str
    first: datetime
    last: datetime
    count: int = 1
    size: int = 0
    told: int = 0


class MissedAlerts:
    """The inbox's table of them.

    Args:
        database: the inbox's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __repr__(self) -> str:
        return f"<MissedAlerts {self._database.path}>"

    def note(self, found: Iterable[Missed]) -> None:
        """Add alerts to those of their hour, in one transaction."""
        with self._database.transaction() as db:
            write(db, found)

    def newest(self, kinds: Sequence[Kind], limit: int) -> list[Missed]:
        """Those of some kinds, newest first; all of them if `limit` is negative."""
        marks = ", ".join("?" for _ in kinds)
        return self._read(f"WHERE kind IN ({marks}) ORDER BY last DESC LIMIT ?", (*kinds, limit))

    def untold(self, since: datetime, limit: int) -> list[Missed]:
        """Those from after `since` that no notification has told of, the most frequent first.

        Of what goes on for an hour, a notification tells once.
        """
        return self._read(
            "WHERE told = 0 AND last >= ? ORDER BY count DESC, last DESC LIMIT ?",
            (microseconds(since), limit),
        )

    def tell(self, told: Iterable[Missed]) -> None:
        """Note that a notification has told of these."""
        with self._database.transaction() as db:
            db.executemany(
                "UPDATE missed SET told = max(told, ?) WHERE kind = ? AND source = ? AND sender = ?"
                " AND reason = ? AND hour = ?",
                [
                    (
                        each.count,
                        each.kind,
                        each.source,
                        each.sender,
                        each.reason,
                        microseconds(each.first) // _HOUR,
                    )
                    for each in told
                ],
            )

    def forget(self, older_than: datetime) -> None:
        """Forget those from before this time."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM missed WHERE last < ?", (microseconds(older_than),))

    def _read(self, which: str, values: tuple[Any, ...]) -> list[Missed]:
        rows = self._database.rows(
            f"SELECT kind, source, sender, reason, first, last, count, size, told FROM missed {which}",  # noqa: S608 - constants
            values,
        )
        return [
            Missed(kind, source, sender, reason, moment(first), moment(last), count, size, told)
            for kind, source, sender, reason, first, last, count, size, told in rows
        ]


def write(db: sqlite3.Connection, found: Iterable[Missed]) -> None:
    """Add alerts to those of their hour, within the caller's transaction."""
    kinds = set()
    for each in found:
        kinds.add(each.kind)
        db.execute(
            "INSERT INTO missed (kind, source, sender, reason, hour, first, last, count, size, told)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (kind, source, sender, reason, hour) DO UPDATE SET"
            " last = max(last, excluded.last), count = count + excluded.count,"
            " size = max(size, excluded.size), told = told + excluded.told",
            (
                each.kind,
                plain(each.source),
                plain(each.sender),
                reason_of(each.reason),
                microseconds(each.first) // _HOUR,
                microseconds(each.first),
                microseconds(each.last),
                each.count,
                each.size,
                each.told,
            ),
        )
    for kind in kinds:
        db.execute(
            "DELETE FROM missed WHERE kind = ? AND last < (SELECT last FROM missed WHERE kind = ?"
            " ORDER BY last DESC LIMIT 1 OFFSET ?)",
            (kind, kind, MOST_ROWS - 1),
        )


def reason_of(text: str) -> str:
    """A reason as it is kept: one line of bounded length, without secrets."""
    line = " ".join(plain(redact(text[: 2 * LONGEST_REASON])).split())
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 3]}..."
