"""Another place for a full capture whose place was chosen, before Cloudflare has accepted it.

The journal replaces the intent by one for the other place. This happens in the lane, so that no two intents
of a run can both be accepted.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from pydantic import ValidationError

from edgecap.analytics.choice import Choice, after_refusal
from edgecap.archive.journal_records import Intent, JournalRecord
from edgecap.captures import identity
from edgecap.errors import RequestRefused
from edgecap.requests import FullRequest

CHOICE_HOLDS = timedelta(minutes=2)  # after that, a place that was chosen is chosen again before its POST
_PLACE = ("", "colo_name", "colo")  # the field that a refusal names, if it names one


def is_to_be_chosen_again(record: JournalRecord, age: timedelta) -> bool:
    """Whether a place was chosen too long ago: the run has waited for its lane.

    The places of an incident's captures are chosen together, so they stay.

    Args:
        record: the intent, which no POST was made for if this is true.
        age: of the choice, here.
    """
    intent = record.intent
    return bool(intent.choice) and not intent.incident and not record.postings and age > CHOICE_HOLDS


def is_better(choice: Choice, intent: Intent) -> bool:
    """Whether a new choice leads to another place than the intent's."""
    return choice.by == "analytics" and bool(choice.places) and choice.places[0] != place_of(intent)


def next_place(intent: Intent, refused: RequestRefused) -> Choice | None:
    """The choice of the next place, if a refusal may be about a place that was chosen; else None."""
    if not intent.choice or refused.field not in _PLACE:
        return None
    with suppress(ValidationError):  # a newer version wrote it
        return after_refusal(Choice.model_validate(intent.choice), place_of(intent))
    return None


def moved(intent: Intent, choice: Choice, *, now: datetime) -> Intent:
    """The intent that replaces a full one at the place that was chosen instead.

    Its id does not depend on the place: if two processes of a run choose at a time, the first record stands.

    Args:
        intent: what was not accepted, and never will be.
        choice: of the place, which has one.
        now: the time, on the server's clock.
    """
    request = intent.request
    assert isinstance(request, FullRequest)
    return intent.model_copy(
        update={
            "intent_id": identity.intent_id(intent.intent_id, "elsewhere"),
            "request": request.at(choice.places[0]),
            "body": {**intent.body, "colo_name": choice.places[0]},
            "decided": now,
            "choice": choice.model_dump(mode="json"),
            "repeats": intent.intent_id,
        }
    )


def place_of(intent: Intent) -> str:
    """Where a full capture was to be posted."""
    return str(intent.body.get("colo_name") or "")
