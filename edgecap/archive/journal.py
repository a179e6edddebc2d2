"""The journal: what was decided, what was posted, what was accepted and how it ended.

Decisions, postings and acceptances are written before anything depends on them, an ending after everything
else. An intent without a posting was never posted, so no capture is its own.

Every record is create-only. A second process, after a crash or at the same time, reads what the first one
wrote, and goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar

from pydantic import BaseModel

from edgecap.archive.journal_records import Absence, Accepted, Answer, Ended, Intent, JournalRecord, Posting
from edgecap.archive.layout import (
    INTENTS,
    absent_key,
    accepted_key,
    answer_key,
    ended_key,
    intent_key,
    posting_key,
)
from edgecap.archive.text import read_json, to_json
from edgecap.errors import Damaged, ObjectExists, ObjectMissing, UnexpectedAnswer
from edgecap.stores.base import Store

_INTENT, _ACCEPTED, _ENDED = "intent.json", "accepted.json", "ended.json"
_SHOWN = 3  # unreadable records that an error names


_Record = TypeVar("_Record", bound=BaseModel)


class Journal:
    """The journal of an archive."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __repr__(self) -> str:
        return f"<Journal {self._store.uri}/{INTENTS}>"

    def begin(self, intent: Intent) -> Intent:
        """Write `intent` down before it is acted on.

        Returns:
            The journal's record: `intent`, or what an earlier life of the same run wrote.

        Raises:
            StoreError: it cannot be written. Then nothing may be posted.
        """
        key = intent_key(intent.intent_id)
        try:
            self._store.put(key, to_json(intent))
        except ObjectExists:
            return read_json(self._store, key, Intent)
        return intent

    def post(self, intent_id: str, posting: Posting) -> None:
        """Write down that a POST is about to be made.

        Raises:
            ObjectExists: another life of the same run is making its POST with this number; only one may.
            StoreError: it cannot be written. Then nothing may be posted.
        """
        self._store.put(posting_key(intent_id, posting.number), to_json(posting))

    def answer(self, intent_id: str, answer: Answer) -> None:
        """Write down the answer to a POST. The first record stands.

        Raises:
            StoreError: it cannot be written.
        """
        with suppress(ObjectExists):
            self._store.put(answer_key(intent_id, answer.number), to_json(answer))

    def prove_absent(self, intent_id: str, absence: Absence) -> None:
        """Write down that the list proves a POST to have started nothing. The first record stands.

        Raises:
            StoreError: it cannot be written.
        """
        with suppress(ObjectExists):
            self._store.put(absent_key(intent_id, absence.number), to_json(absence))

    def accept(self, intent_id: str, capture_raw: Mapping[str, Any]) -> Accepted:
        """Write down which capture the API accepted for the intent. The same id again changes nothing.

        Raises:
            UnexpectedAnswer: the capture has no id.
            ObjectExists: the intent has led to another capture already.
        """
        capture_id = capture_raw.get("id")
        if not isinstance(capture_id, str) or not capture_id:
            raise UnexpectedAnswer(
                "the API accepted the request and named no capture",
                where=f"intent {intent_id}",
                hint="look for it in the dashboard",
            )
        accepted = Accepted(capture_id=capture_id, capture=dict(capture_raw))
        key = accepted_key(intent_id)
        try:
            self._store.put(key, to_json(accepted))
        except ObjectExists:
            earlier = read_json(self._store, key, Accepted)
            if earlier.capture_id != capture_id:
                raise ObjectExists(
                    f"intent {intent_id} led to capture {earlier.capture_id}, and now to {capture_id} too",
                    where=f"{self._store.uri}/{key}",
                    hint="stop the second one in the dashboard if it is not wanted",
                ) from None
            return earlier
        return accepted

    def end(self, intent_id: str, ended: Ended) -> Ended:
        """Write down how the intent ended; nothing remains to be done for it.

        Returns:
            The journal's record: `ended`, or the one that was written first.

        Raises:
            StoreError: it cannot be written.
        """
        key = ended_key(intent_id)
        try:
            self._store.put(key, to_json(ended))
        except ObjectExists:
            return read_json(self._store, key, Ended)
        return ended

    def find(self, intent_id: str) -> JournalRecord | None:
        """The intent and what the journal knows of it; None if it was never begun.

        Raises:
            Damaged: its record cannot be read.
        """
        try:
            intent = read_json(self._store, intent_key(intent_id), Intent)
        except ObjectMissing:
            return None
        accepted = self._read(accepted_key(intent_id), Accepted)
        return self._record(intent, accepted, self._read(ended_key(intent_id), Ended))

    def follow(self, intent_id: str) -> JournalRecord | None:
        """As `find`, for the intent or the last one that asks for its window again.

        Raises:
            Damaged: a record cannot be read.
        """
        record = self.find(intent_id)
        while record and record.ended and record.ended.repeated_by:
            following = self.find(record.ended.repeated_by)
            if following is None:
                break
            record = following
        return record

    def records(self, *, since: datetime | None = None) -> Iterator[JournalRecord]:
        """Every intent, with its capture if one was accepted and its ending if it has one.

        Args:
            since: leave out intents that were begun before; the listing tells, so they are not read.

        Raises:
            Damaged: after all other intents, if some records cannot be read; it names them.
        """
        yield from self._read_all(list(self._begun(since)))

    def open(self, *, since: datetime | None = None) -> Iterator[JournalRecord]:
        """Intents without an ending. One listing tells which; those that ended are not read.

        Args:
            since: leave out intents that were begun before.

        Raises:
            Damaged: as `records`.
        """
        yield from self._read_all([found for found in self._begun(since) if not found.ended])

    def _begun(self, since: datetime | None) -> Iterator[_Begun]:
        # Keys come sorted, so what belongs to an intent comes together.
        for folder, infos in groupby(self._store.list(INTENTS), lambda info: info.key.rpartition("/")[0]):
            began = {info.key.rpartition("/")[2]: info.modified for info in infos}
            if _INTENT in began and (since is None or began[_INTENT] >= since):
                yield _Begun(f"{folder}/", _ENDED in began)

    def _read_all(self, begun: Iterable[_Begun]) -> Iterator[JournalRecord]:
        unreadable = []
        for found in begun:
            try:
                intent = read_json(self._store, found.folder + _INTENT, Intent)
                # Read in any case: it may have been accepted since the listing.
                accepted = self._read(found.folder + _ACCEPTED, Accepted)
                ended = self._read(found.folder + _ENDED, Ended) if found.ended else None
                record = self._record(intent, accepted, ended)
            except ObjectMissing:
                continue  # removed since it was listed
            except Damaged as error:
                unreadable.append(error.where)
            else:
                yield record
        if unreadable:
            raise Damaged(
                f"{len(unreadable)} records of the journal cannot be read",
                where=", ".join(unreadable[:_SHOWN]),
                hint="update edgecap if a newer one wrote them; else restore them from a copy",
            )

    def _record(self, intent: Intent, accepted: Accepted | None, ended: Ended | None) -> JournalRecord:
        if accepted or ended:
            return JournalRecord(intent, accepted, ended)
        postings: list[Posting] = []
        answers: list[Answer] = []
        absences: list[Absence] = []
        # Numbered without gaps: only the run that holds the lane writes one, and it has read those before.
        while posting := self._read(posting_key(intent.intent_id, len(postings) + 1), Posting):
            postings.append(posting)
            if answer := self._read(answer_key(intent.intent_id, posting.number), Answer):
                answers.append(answer)
            if absence := self._read(absent_key(intent.intent_id, posting.number), Absence):
                absences.append(absence)
        return JournalRecord(
            intent, postings=tuple(postings), answers=tuple(answers), absences=tuple(absences)
        )

    def _read(self, key: str, model: type[_Record]) -> _Record | None:
        try:
            return read_json(self._store, key, model)
        except ObjectMissing:
            return None


@dataclass(frozen=True, slots=True)
class _Begun:
    """An intent as a listing shows it: its folder, with `/` at its end, and whether it has ended."""

    folder: str
    ended: bool
