"""Captures that ended without packets and so have no entry: what the journal knows of them, in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import JournalRecord
from edgecap.cli.output import pairs, print_table
from edgecap.errors import Damaged
from edgecap.requests import SimpleRequest, rfc3339
from edgecap.stores import Store
from edgecap.units import period, stamp

FAILED = "failed"
_COLUMNS = ("submitted", "id", "what", "why")
_SHORT_ID = 8  # characters; enough for `edgecap show`


def failed_captures(store: Store, *, since: datetime | None = None) -> list[JournalRecord]:
    """Captures that Cloudflare accepted, and that ended without an entry; the newest first.

    Args:
        store: the archive with the journal.
        since: leave out those that were decided before.
    """
    return sorted(_failed(Journal(store), since), key=_decided, reverse=True)


def failed_capture(store: Store, wanted: str) -> JournalRecord | None:
    """The one whose id begins so; None if there is none, or more than one."""
    beginning = wanted.strip().lower()
    if not beginning.isalnum():
        return None
    found = [each for each in _failed(Journal(store), None) if each.capture_id.startswith(beginning)]
    return found[0] if len(found) == 1 else None


def _failed(journal: Journal, since: datetime | None) -> Iterator[JournalRecord]:
    with suppress(Damaged):  # raised after all records that can be read
        for record in journal.records(since=since):
            if record.capture_id and record.ended and not record.ended.entry:
                yield record


def print_failed(out: Console, record: JournalRecord) -> None:
    """Print all that is known of one, for people."""
    assert record.ended is not None
    intent, asked = record.intent, _window(record)
    out.print(
        pairs(
            [
                ("capture", record.capture_id),
                ("state", f"{record.ended.outcome}: it has no packets, and so no entry in the archive"),
                ("why", record.ended.reason),
                ("request", str(intent.request)),
                ("time asked for", period(*asked)),
                ("account", intent.account),
                *([("incident", intent.incident)] if intent.incident else []),
                *([("run", intent.run)] if intent.run else []),
                ("decided", stamp(intent.decided)),
                ("ended", stamp(record.ended.at)),
            ]
        )
    )


def print_all_failed(out: Console, records: Sequence[JournalRecord]) -> None:
    """Print a table of them."""
    rows = [
        (
            f"{each.intent.decided:%Y-%m-%d %H:%M:%S}",
            each.capture_id[:_SHORT_ID],
            str(each.intent.request),
            each.ended.reason if each.ended else "",
        )
        for each in records
    ]
    print_table(out, _COLUMNS, rows)


def failed_json(record: JournalRecord) -> dict[str, Any]:
    """The JSON form of one. Times are RFC 3339, UTC."""
    assert record.ended is not None
    begins, ends = _window(record)
    intent = record.intent
    return {
        "id": record.capture_id,
        "type": intent.request.type,
        "state": record.ended.outcome,
        "reason": record.ended.reason,
        "request": intent.request.model_dump(mode="json", exclude_none=True),
        "asked_from": rfc3339(begins),
        "asked_to": rfc3339(ends),
        "account": intent.account,
        "incident": intent.incident,
        "decided": rfc3339(intent.decided),
        "ended": rfc3339(record.ended.at),
    }


def _window(record: JournalRecord) -> tuple[datetime, datetime]:
    """From when to when packets were asked for; a full capture records from its request on."""
    request, answer = record.intent.request, record.accepted.capture if record.accepted else {}
    submitted = _moment(answer.get("submitted")) or record.intent.decided
    length = timedelta(seconds=request.time_limit)
    if isinstance(request, SimpleRequest):
        ends = _moment(answer.get("offset_time")) or request.offset_time or submitted
        return ends - length, ends
    return submitted, submitted + length


def _moment(text: object) -> datetime | None:
    with suppress(ValueError):
        found = datetime.fromisoformat(str(text))
        return found if found.tzinfo else None
    return None


def _decided(record: JournalRecord) -> datetime:
    return record.intent.decided
