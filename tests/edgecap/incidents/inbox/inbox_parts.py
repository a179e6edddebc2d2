"""Alerts and plans for the inbox, made of the few things that it looks at."""

import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

from edgecap.alerts.model import Alert, derive
from edgecap.alerts.policy.decision import Plan, Planned
from edgecap.requests import Filter, SimpleRequest

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@contextmanager
def connections():
    """The connections to SQLite that are opened in the block: an inbox opens its writer, then its reader."""
    opened, connect = [], sqlite3.connect

    def noted(*arguments, **options):
        opened.append(connect(*arguments, **options))
        return opened[-1]

    with patch("sqlite3.connect", noted):
        yield opened


def alert(
    event="start",
    key="attack",
    *,
    at=NOON,
    identity="",
    about="203.0.113.7",
    timed=True,
    raw=None,
    severity="unknown",
):
    """An alert; `identity` tells it from others of its key and event, `timed`: it says when it began."""
    return Alert(
        source="generic",
        kind="flood",
        event=event,
        severity=severity,
        identity=derive(key, event, identity),
        incident=derive(key),
        received=at,
        started=NOON if timed else None,
        targets=(about,),
        raw=raw or {},
    )


def plan(of, *, captures=2, cooldown=600, budget=50, rule="floods", wanted=True, remarks=(), **more):
    """The plan for an alert: `captures` captures, for a start and for an end alike."""
    phase = "before" if of.event == "start" else "after"
    return Plan(
        alert=str(of),
        identity=of.identity,
        incident=of.incident,
        event=of.event,
        about=",".join(of.targets),
        rule=rule,
        built_in=False,
        reason=f"captures: {captures} {phase}",
        filter=Filter() if wanted else None,
        captures=tuple(
            Planned(
                phase=phase,
                number=number,
                request=SimpleRequest(offset_time=of.received - timedelta(seconds=60 * number)),
                why="packets",
            )
            for number in range(1, captures + 1)
        ),
        cooldown=cooldown,
        daily_budget=budget,
        preempt=False,
        remarks=tuple(remarks),
        **more,
    )


def take(inbox, *alerts, **decided):
    """Keep alerts in one arrival, settle it with plans that are decided so, and say what they came to."""
    (arrival,) = inbox.keep([("generic", b"{}", alerts[0].received)])
    return inbox.settle(arrival, [(each, plan(each, **decided)) for each in alerts])


def incident_of(inbox, incident_id):
    """The incident with this id."""
    (found,) = [each for each in inbox.incidents() if each.id == incident_id]
    return found
