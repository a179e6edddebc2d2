"""The contents of the inbox: arrivals, judged alerts, incidents, and run requests for Prefect.

All times are aware and in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple

from edgecap.alerts.model import Alert
from edgecap.alerts.policy.decision import Plan

Boundary = Literal["start", "escalation", "end"]
"""Of an incident: its start and its end are ordered once, and each escalation."""


class Outcome(StrEnum):
    """What an alert came to."""

    OPENED = "opened"
    """A new incident, with all captures of its plan."""
    REPEATED = "repeated"
    """The same alert again, or the end of an incident that is over."""
    JOINED = "joined"
    """It joins an incident: the same attack, or the same target within its cooldown. Or it is the end of one
    attack of an incident with several."""
    ESCALATED = "escalated"
    """It joins an open incident, which gets captures that it did not have."""
    ENDED = "ended"
    """The end of its incident: of the last attack in it that went on."""
    OVER_BUDGET = "over_budget"
    """A new incident, without the captures that are too many for the rule's day; perhaps without any."""
    NOTHING = "nothing"
    """No captures are wanted, it is neither start nor end, or it ends what is not known."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """The body of an authenticated request, unchanged.

    Attributes:
        source: name of the alert source, such as cloudflare.
        body: the bytes.
        received: when they were there, aware.
    """

    source: str
    body: bytes
    received: datetime


@dataclass(frozen=True, slots=True)
class StoredAlert(Arrival):
    """An arrival that is safe on the disk. `id` counts up, in the order of arrival, and never comes again."""

    id: int


@dataclass(frozen=True, slots=True)
class Quarantined(StoredAlert):
    """An arrival that no parser understood, and why."""

    reason: str


class Entered(NamedTuple):
    """An alert as it was entered, with what it came to and what of its plan was left."""

    alert: Alert
    outcome: Outcome
    plan: Plan


@dataclass(frozen=True, slots=True)
class Judged:
    """An alert with its plan and what they came to.

    Attributes:
        arrival: the id of the arrival that it came with.
        outcome: what it came to.
        incident: the incident that it opened, joined, ended or repeats; None for `nothing`.
        plan: as decided; in case of `over_budget`, or an end beyond it, without the captures left out.
    """

    arrival: int
    outcome: Outcome
    incident: str | None
    alert: Alert
    plan: Plan


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run that Prefect is to be asked for.

    Attributes:
        id: counts up in the order in which orders are to be sent.
        incident: the incident's id.
        event: its start, its end, or an escalation between them.
        alert: what told of it.
        plan: what to capture; perhaps nothing, for the incident is to be shown all the same.
        key: idempotency key: the same for the same incident and event, so that sending twice makes one run.
        created: when the alert arrived.
        refused: why Prefect does not want it; empty unless it was put aside for that.
    """

    id: int
    incident: str
    event: Boundary
    alert: Alert
    plan: Plan
    key: str
    created: datetime
    refused: str = ""


@dataclass(frozen=True, slots=True)
class InboxIncident:
    """An incident in the receiver's inbox. Its captures are in the archive.

    Attributes:
        id: 32 hex digits, derived from its key and the start that opened it.
        key: what its start and its end have in common; a later incident may have it again.
        about: what the cooldown applies to: usually the target.
        rule: the rule that it was opened by.
        opened: when the start arrived.
        last: when its last alert arrived.
        closed: when it ended; None while it is open.
        superseded: no end arrived, and the same attack started again after a long silence.
        joined: how many other alerts joined it, ends not counted; with the cooldown, also after its end.
        repeated: how many alerts were sent again while it was open.
        escalations: how many of those that joined added captures.
        alert: the start.
        plan: the captures of the start.
        runs: ids of the flow runs that were ordered and sent, by event.
    """

    id: str
    key: str
    about: str
    rule: str
    opened: datetime
    last: datetime
    closed: datetime | None
    superseded: bool
    joined: int
    repeated: int
    escalations: int
    alert: Alert
    plan: Plan
    runs: dict[Boundary, str]

    def __str__(self) -> str:
        """One line, such as `1f0c22ab is open: cloudflare dos_attack_l4 start high 203.0.113.7:443`."""
        state = "is open" if self.closed is None else "was superseded" if self.superseded else "is over"
        return f"{self.id[:8]} {state}: {self.plan.alert}"


class HeldBackRow(NamedTuple):
    """How many alerts joined an incident, or were sent again while it was open."""

    incident: str
    opened: datetime
    closed: bool
    joined: int
    repeated: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How much waits, for metrics and readiness.

    Attributes:
        pending: arrivals that are not settled yet.
        oldest_pending: when the first of them arrived.
        asides: arrivals that no parser understood.
        orders: orders not sent yet.
        oldest_order: when the alert of the first of them arrived.
        refused: orders that were put aside, since Prefect refuses them.
        open_incidents: incidents without an end.
    """

    pending: int
    oldest_pending: datetime | None
    asides: int
    orders: int
    oldest_order: datetime | None
    refused: int
    open_incidents: int
