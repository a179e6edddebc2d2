"""Resolving an intent by hand: a person states the outcome of its POST, which the API's list cannot tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Ended, JournalRecord
from edgecap.captures.adoption import CLOCKS_APART, Match, best_match
from edgecap.cloudflare.models import Capture
from edgecap.errors import EntryMissing, InvalidRequest

_SHORTEST = 4  # letters of an id; fewer name one by accident


@dataclass(frozen=True, slots=True)
class Candidate:
    """A listed capture submitted since the intent's first POST, and whether it is the intent's own."""

    capture: Capture
    match: Match


def find_intent(journal: Journal, beginning: str) -> JournalRecord:
    """The intent whose id begins with `beginning`.

    Raises:
        EntryMissing: there is none, or more than one.
        Damaged: a record of the journal cannot be read.
    """
    if exact := journal.find(beginning):
        return exact
    found = [
        record
        for record in journal.open()
        if len(beginning) >= _SHORTEST and record.intent.intent_id.startswith(beginning.lower())
    ]
    if len(found) != 1:
        how_many = "no open intent" if not found else f"{len(found)} open intents"
        raise EntryMissing(
            f"{how_many} in the journal begins with {beginning!r}",
            where=repr(journal),
            hint="give the whole id, as the failed run's message has it",
        )
    return found[0]


def candidates(record: JournalRecord, captures: Sequence[Capture]) -> list[Candidate]:
    """The captures of the list that the intent's POST may have started, the best match first."""
    since = min((posting.at for posting in record.postings), default=record.intent.decided) - CLOCKS_APART
    listed = [
        Candidate(capture, best_match(record, capture))
        for capture in captures
        if capture.type in ("", record.intent.request.type)
        and (capture.submitted is None or capture.submitted >= since)
    ]
    return sorted(listed, key=lambda one: (-one.match, one.capture.submitted or since))


def say_accepted(journal: Journal, record: JournalRecord, capture: Capture) -> None:
    """Record that this capture is the intent's own. The run, or `reconcile`, then fetches its packets.

    Raises:
        InvalidRequest: the intent has a capture already, or this one is of another type or another intent's.
        ObjectExists: the intent has led to another capture already.
    """
    _still_open(record)
    if capture.type and capture.type != record.intent.request.type:
        raise InvalidRequest(
            f"capture {capture.id} is a {capture.type} one, and the intent asks for a "
            f"{record.intent.request.type} one",
            where="--capture",
            hint="give the id of another capture",
        )
    for other in journal.records():
        if other.capture_id == capture.id and other.intent.intent_id != record.intent.intent_id:
            raise InvalidRequest(
                f"capture {capture.id} belongs to intent {other.intent.intent_id}",
                where="--capture",
                hint="give the id of another capture",
            )
    journal.accept(record.intent.intent_id, capture.raw)


def say_not_accepted(journal: Journal, record: JournalRecord, *, at: datetime) -> None:
    """Record that nothing was accepted for the intent. That ends it: nothing is posted for it again.

    Raises:
        InvalidRequest: the journal names its capture, or it is over.
    """
    _still_open(record)
    reason = "a person says that Cloudflare did not accept it"
    journal.end(record.intent.intent_id, Ended(outcome="never-accepted", reason=reason, at=at))


def _still_open(record: JournalRecord) -> None:
    name = record.intent.intent_id
    if record.accepted:
        raise InvalidRequest(
            f"intent {name} led to capture {record.capture_id}, so there is nothing to resolve",
            where="INTENT",
            hint=f"`edgecap show {record.capture_id[:8]}` shows it once it is archived",
        )
    if record.ended:
        raise InvalidRequest(
            f"intent {name} is over: {record.ended.reason}",
            where="INTENT",
            hint="start a new run if its packets are still wanted",
        )
