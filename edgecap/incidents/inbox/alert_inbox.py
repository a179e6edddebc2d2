"""The inbox: everything between "an alert arrived" and "Prefect has the run", in one crash-safe file.

::

    keep      the body is on the disk, and the sender may be told so
    settle    its alerts are ruled on: incidents open, grow and end, and orders are written
    sent      Prefect has made the run of an order

Each is one transaction and gives the same result when it runs again. A receiver that is killed between two of
them, or loses power, reads `pending` and `orders` at its next start. Nothing is lost, nothing is done twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from edgecap.alerts.model import Alert
from edgecap.alerts.policy.decision import Plan
from edgecap.errors import EntryMissing
from edgecap.incidents.columns import microseconds, moment, plain
from edgecap.incidents.inbox import pruning
from edgecap.incidents.inbox.database import Database
from edgecap.incidents.inbox.missed import Missed, MissedAlerts, write
from edgecap.incidents.inbox.rows import (
    Arrival,
    Boundary,
    Counts,
    Entered,
    HeldBackRow,
    InboxIncident,
    Judged,
    Outcome,
    Quarantined,
    RunRequest,
    StoredAlert,
)
from edgecap.incidents.joining import enter
from edgecap.incidents.lookups import going_on, is_known, known

__all__ = [
    "INBOX",
    "AlertInbox",
    "Arrival",
    "Boundary",
    "Counts",
    "Entered",
    "InboxIncident",
    "Judged",
    "Outcome",
    "Quarantined",
    "RunRequest",
    "StoredAlert",
]

INBOX = Path("alerts") / "book.db"  # the receiver's, in the state folder
_MOST_BYTES = 16 << 20  # of bodies that `pending` and `asides` bring into memory at a time

_INCIDENTS = """
    SELECT incidents.id, incidents.key, about, rule, opened, last, closed, superseded, joined, repeated,
        alert, plan,
        (SELECT flow_run FROM orders WHERE incident = incidents.id AND event = 'start'),
        (SELECT flow_run FROM orders WHERE incident = incidents.id AND event = 'end'),
        (SELECT count(*) FROM orders WHERE incident = incidents.id AND event = 'escalation')
    FROM incidents JOIN alerts ON alerts.id = incidents.opening
"""


def _none(_: Sequence[Entered]) -> Iterable[Missed]:
    return ()


class AlertInbox:
    """A receiver's inbox, for any number of threads; methods that read never wait for one that writes.

    `missed` has the alerts that led to nothing.

    Every method may raise a `StoreError` that says what is wrong with the file or the disk; a method that
    writes has then written nothing.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the inbox in a file, and make it if it is not there.

        Args:
            path: the file. SQLite keeps two more beside it.
            read_only: only read, also while a receiver has it open. Otherwise this is the only writer.

        Raises:
            ConfigError: another receiver has it open, or another version of edgecap wrote it.
            ObjectMissing: it does not exist, and `read_only` does not make it.
            Damaged: it is not an inbox, or damaged.
            StoreUnwritable: the file or its folder cannot be written.
            StoreFull: no space is left.
        """
        self._database = Database(path, read_only=read_only)
        self.missed = MissedAlerts(self._database)

    def __repr__(self) -> str:
        return f"<AlertInbox {self._database.path}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Writes are on the disk already."""
        self._database.close()

    def keep(self, arrivals: Sequence[tuple[str, bytes, datetime]]) -> list[int]:
        """Write arrivals to the disk, all or none, with one fsync for all of them.

        Args:
            arrivals: of each, its source's name, its body, and when it was received (aware).

        Returns:
            The id of each.
        """
        with self._database.transaction() as db:
            return [
                db.execute(
                    "INSERT INTO arrivals (state, source, received, reason, body)"
                    " VALUES ('pending', ?, ?, '', ?)",
                    (source, microseconds(received), body),
                ).lastrowid
                or 0
                for source, body, received in arrivals
            ]

    def pending(self, limit: int = 100) -> list[StoredAlert]:
        """Arrivals that are neither settled nor put aside, oldest first.

        Args:
            limit: how many at most; fewer if they are large, but at least one if there is any.
        """
        rows = self._bodies("WHERE state = 'pending' ORDER BY id", limit)
        return [StoredAlert(source, body, moment(received), id_) for id_, source, body, received, _ in rows]

    def settle(
        self,
        arrival_id: int,
        taken: Sequence[tuple[Alert, Plan]],
        missed: Callable[[Sequence[Entered]], Iterable[Missed]] = _none,
    ) -> list[Outcome]:
        """Decide on an arrival's alerts in one transaction: repetitions, joins, cooldown, budget, orders.

        An arrival is settled once: of one that is settled, this returns what its alerts came to then. One
        that was put aside is settled as if it had not been.

        Args:
            arrival_id: as `keep` returned it.
            taken: its alerts, each with the plan that was decided; none for a ping.
            missed: tells which of them led to nothing. That is written in the same transaction, so that a
                receiver that is killed forgets none.

        Returns:
            What each alert came to.

        Raises:
            EntryMissing: there is no such arrival.
        """
        with self._database.transaction() as db:
            if self._state(db, arrival_id) == "settled":
                rows = db.execute(
                    "SELECT outcome FROM alerts WHERE arrival = ? ORDER BY position", (arrival_id,)
                )
                return [Outcome(outcome) for (outcome,) in rows]
            entered = [
                Entered(alert, *enter(db, arrival_id, position, alert, plan))
                for position, (alert, plan) in enumerate(taken)
            ]
            db.execute("UPDATE arrivals SET state = 'settled', reason = '' WHERE id = ?", (arrival_id,))
            write(db, missed(entered))
            return [each.outcome for each in entered]

    def put_aside(self, arrival_id: int, reason: str, missed: Missed | None = None) -> None:
        """Put an arrival that no parser understands where people see it. A settled one stays settled.

        Args:
            arrival_id: as `keep` returned it.
            reason: why.
            missed: what people are told of it, written in the same transaction.

        Raises:
            EntryMissing: there is no such arrival.
        """
        with self._database.transaction() as db:
            if self._state(db, arrival_id) == "pending":
                db.execute(
                    "UPDATE arrivals SET state = 'aside', reason = ? WHERE id = ?",
                    (reason.encode("utf-8", "replace").decode(), arrival_id),
                )
                write(db, [missed] if missed else ())

    def orders(self, limit: int = 100, *, refused: bool = False) -> list[RunRequest]:
        """Unsent orders, in the order of sending.

        Args:
            limit: how many at most.
            refused: those that were put aside instead, and only those.
        """
        which = "refused <> ''" if refused else "flow_run IS NULL AND refused = ''"
        rows = self._database.rows(
            "SELECT orders.id, orders.incident, event, alert_of.alert, alert_of.plan, orders.key, created,"  # noqa: S608 - one of two constants
            " refused FROM orders JOIN alerts AS alert_of ON alert_of.id = orders.alert"
            f" WHERE {which} ORDER BY orders.id LIMIT ?",
            (limit,),
        )
        return [
            RunRequest(id_, incident, event, _alert(alert), _plan(plan), key, moment(created), why)
            for id_, incident, event, alert, plan, key, created, why in rows
        ]

    def sent(self, order_id: int, flow_run_id: str) -> None:
        """Record the run that Prefect made for an order. The first run stands.

        Raises:
            EntryMissing: there is no such order.
        """
        self._note(order_id, "flow_run = coalesce(flow_run, ?), refused = ''", flow_run_id)

    def refuse(self, order_id: int, reason: str, missed: Missed | None = None) -> None:
        """Put aside an order that Prefect refuses; an empty `reason` takes it up again.

        Args:
            order_id: the order's.
            reason: why Prefect refuses it.
            missed: what people are told of it, written in the same transaction.

        Raises:
            EntryMissing: there is no such order.
        """
        self._note(order_id, "refused = iif(flow_run IS NULL, ?, '')", reason, missed)

    def asides(self, limit: int = 100) -> list[Quarantined]:
        """Arrivals that no parser understood, newest first; fewer than `limit` if they are large."""
        rows = self._bodies("WHERE state = 'aside' ORDER BY id DESC", limit)
        return [Quarantined(source, body, moment(at), id_, reason) for id_, source, body, at, reason in rows]

    def alerts(self, limit: int = 100, *, incident: str | None = None) -> list[Judged]:
        """Alerts and what they came to, newest first; of one incident if its id is given."""
        which, about = ("WHERE incident = ?", (incident,)) if incident else ("", ())
        return self._judged(f"{which} ORDER BY id DESC LIMIT ?", (*about, limit))

    def judged(self, arrival_id: int) -> list[Judged]:
        """The alerts of an arrival and what they came to, in their order."""
        return self._judged("WHERE arrival = ? ORDER BY position", (arrival_id,))

    def start_of(self, end: Alert) -> Alert | None:
        """The last start of the attack that an end is about, if it opened or joined an incident."""
        with self._database.reading() as db:
            running = going_on(db, end)
        key = running[1] if running else end.incident
        rows = self._database.rows(
            "SELECT alert FROM alerts WHERE key = ? AND incident IS NOT NULL"
            " AND outcome IN ('opened', 'over_budget', 'joined', 'escalated') ORDER BY id DESC",
            (plain(key),),
        )
        found = (_alert(text) for (text,) in rows)
        return next((alert for alert in found if alert.event == "start"), None)

    def knows(self, end: Alert) -> bool:
        """Whether the attack that an end is about has an incident."""
        with self._database.reading() as db:
            return going_on(db, end) is not None or is_known(db, end.incident)

    def heard(self, alert: Alert) -> bool:
        """Whether this same alert came before, and led to an incident."""
        with self._database.reading() as db:
            return known(db, alert, microseconds(alert.received)) is not None

    def incidents(self, limit: int = 100) -> list[InboxIncident]:
        """Incidents, newest first."""
        rows = self._database.rows(f"{_INCIDENTS} ORDER BY opening DESC LIMIT ?", (limit,))
        return [_incident(row) for row in rows]

    def held_back(self, since: datetime) -> list[HeldBackRow]:
        """Counts of the incidents that alerts joined or repeated, if the last alert is from after `since`."""
        rows = self._database.rows(
            "SELECT id, opened, closed IS NOT NULL, joined, repeated FROM incidents"
            " WHERE last >= ? AND joined + repeated > 0",
            (microseconds(since),),
        )
        return [HeldBackRow(id_, moment(at), bool(closed), *counts) for id_, at, closed, *counts in rows]

    def counts(self) -> Counts:
        """How much waits. As fast in a large inbox as in a small one."""
        with self._database.reading() as db:
            pending, oldest = db.execute(
                "SELECT count(*), min(received) FROM arrivals WHERE state = 'pending'"
            ).fetchone()
            asides = db.execute("SELECT count(*) FROM arrivals WHERE state = 'aside'").fetchone()[0]
            orders, first = db.execute(
                "SELECT count(*), min(created) FROM orders WHERE flow_run IS NULL AND refused = ''"
            ).fetchone()
            refused = db.execute("SELECT count(*) FROM orders WHERE refused <> ''").fetchone()[0]
            going_on = db.execute("SELECT count(*) FROM incidents WHERE closed IS NULL").fetchone()[0]
        return Counts(
            pending=pending,
            oldest_pending=None if oldest is None else moment(oldest),
            asides=asides,
            orders=orders,
            oldest_order=None if first is None else moment(first),
            refused=refused,
            open_incidents=going_on,
        )

    def probe(self) -> None:
        """Write a row without meaning to the disk, as `keep` would write an arrival.

        Raises:
            StoreError: `keep` would fail; says why.
        """
        with self._database.transaction() as db:
            db.execute(
                "INSERT INTO spent (rule, day, about, reserved, captures)"
                " VALUES ('', 0, '', 0, 0)"  # no rule is called so
                " ON CONFLICT (rule, day, about, reserved) DO UPDATE SET captures = 1 - captures"
            )

    def prune(self, older_than: datetime) -> int:
        """Forget incidents and arrivals whose last alert is from before `older_than`, in short transactions.

        Pending arrivals and incidents with unsent orders stay. An incident without an end stays a day longer,
        and an arrival as long as its incident.

        Returns:
            How many arrivals were forgotten.
        """
        self.missed.forget(older_than)
        return pruning.prune(self._database, microseconds(older_than))

    def _bodies(self, which: str, limit: int) -> list[Any]:
        found: list[Any] = []
        size = 0
        with self._database.reading() as db:
            rows = db.execute(
                f"SELECT id, source, body, received, reason FROM arrivals {which} LIMIT ?",  # noqa: S608 - constants
                (limit,),
            )
            for row in rows:
                size += len(row[2])
                if found and size > _MOST_BYTES:
                    break
                found.append(row)
            rows.close()
        return found

    def _judged(self, which: str, values: tuple[Any, ...]) -> list[Judged]:
        rows = self._database.rows(
            f"SELECT arrival, outcome, incident, alert, plan FROM alerts {which}",  # noqa: S608 - constants
            values,
        )
        return [
            Judged(arrival, Outcome(outcome), incident, _alert(alert), _plan(plan))
            for arrival, outcome, incident, alert, plan in rows
        ]

    def _note(self, order_id: int, what: str, value: str, missed: Missed | None = None) -> None:
        clean = value.encode("utf-8", "replace").decode()
        with self._database.transaction() as db:
            if not db.execute(f"UPDATE orders SET {what} WHERE id = ?", (clean, order_id)).rowcount:  # noqa: S608 - one of two constants
                raise EntryMissing(
                    f"the inbox of alerts has no order {order_id}", where=str(self._database.path)
                )
            write(db, [missed] if missed else ())

    def _state(self, db: Any, arrival_id: int) -> str:
        row = db.execute("SELECT state FROM arrivals WHERE id = ?", (arrival_id,)).fetchone()
        if row is None:
            raise EntryMissing(
                f"the inbox of alerts has no arrival {arrival_id}", where=str(self._database.path)
            )
        return str(row[0])


def _alert(text: str) -> Alert:
    return Alert.model_validate(json.loads(text))


def _plan(text: str) -> Plan:
    return Plan.model_validate(json.loads(text))


def _incident(row: tuple[Any, ...]) -> InboxIncident:
    (*row_of_incident, alert, plan, start, end, escalations) = row
    id_, key, about, rule, opened, last, closed, superseded, joined, repeated = row_of_incident
    runs: dict[Boundary, str] = {}
    if start is not None:
        runs["start"] = start
    if end is not None:
        runs["end"] = end
    return InboxIncident(
        id=id_,
        key=key,
        about=about,
        rule=rule,
        opened=moment(opened),
        last=moment(last),
        closed=None if closed is None else moment(closed),
        superseded=bool(superseded),
        joined=joined,
        repeated=repeated,
        escalations=escalations,
        alert=_alert(alert),
        plan=_plan(plan),
        runs=runs,
    )
