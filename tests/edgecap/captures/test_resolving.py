"""A person states the outcome of an intent's POST, or is refused."""

from datetime import UTC, datetime, timedelta

import pytest

from edgecap.archive.journal import Journal
from edgecap.captures.adoption import CLOCKS_APART, Match
from edgecap.captures.intent import decide
from edgecap.captures.order import CaptureOrder
from edgecap.captures.posting import about_to_post
from edgecap.captures.resolving import candidates, find_intent, say_accepted, say_not_accepted
from edgecap.cloudflare.models import Capture, Listing
from edgecap.errors import EntryMissing, InvalidRequest
from edgecap.requests import FullRequest, SimpleRequest, rfc3339
from edgecap.settings import Settings
from edgecap.stores.folder import FolderStore

NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BUCKET = "s3://captures/edge?region=us-east-1"


@pytest.fixture
def journal(tmp_path):
    return Journal(FolderStore(tmp_path))


def begin(journal, run, request=None):
    order = CaptureOrder(request or FullRequest(colo="ORD", time_limit=60), run, run)
    return journal.begin(decide(order, Settings(), now=NOW))


def posted(journal, run, request=None):
    """An intent whose run died in its POST, as the journal has it."""
    intent = begin(journal, run, request)
    about_to_post(journal, journal.find(intent.intent_id), Listing([], NOW), BUCKET)
    return journal.find(intent.intent_id)


def capture(number, after=1.0, **differs):
    fields = {
        "id": f"{number:032x}",
        "type": "full",
        "colo_name": "ORD",
        "time_limit": 60,
        "destination_conf": BUCKET,
        "submitted": rfc3339(NOW + after * SECOND),
        **differs,
    }
    return Capture.model_validate({name: value for name, value in fields.items() if value is not None})


def test_an_intent_is_found_by_four_letters_of_its_id_or_more(journal):
    first, second = (begin(journal, run).intent_id for run in ("one", "two"))
    assert first[:4] != second[:4]
    assert find_intent(journal, first).intent.intent_id == first
    assert find_intent(journal, first[:4].upper()).intent.intent_id == first
    for unclear in (first[:3], "", "beef" * 8):
        with pytest.raises(EntryMissing, match="no open intent"):
            find_intent(journal, unclear)


def test_a_beginning_that_two_intents_have_names_neither(journal):
    intent = begin(journal, "one")
    twin = intent.model_copy(update={"intent_id": intent.intent_id[:-4] + "0123"})
    journal.begin(twin)
    with pytest.raises(EntryMissing, match="2 open intents"):
        find_intent(journal, intent.intent_id[:8])
    assert find_intent(journal, intent.intent_id).intent == intent


def test_likely_candidates_come_first_and_impossible_ones_are_left_out(journal):
    record = posted(journal, "lost")
    edge = -CLOCKS_APART.total_seconds()
    other, silent, own = capture(1, colo_name="AMS"), capture(2, destination_conf=None), capture(3, after=5)
    early, too_early, simple = capture(4, after=edge), capture(5, after=edge - 1), capture(6, type="simple")
    nameless = capture(7, type=None, submitted=None)
    found = candidates(record, [other, too_early, silent, simple, nameless, own, early])
    assert [(one.capture.id, one.match) for one in found] == [
        (own.id, Match.YES),
        (nameless.id, Match.MAYBE),  # as if it were the earliest that may be
        (early.id, Match.MAYBE),
        (silent.id, Match.MAYBE),
        (other.id, Match.NO),
    ]


def test_an_intent_that_was_never_posted_has_candidates_since_its_decision(journal):
    record = journal.find(begin(journal, "early").intent_id)
    late, soon = capture(1, after=60), capture(2, after=-70)
    assert [(one.capture, one.match) for one in candidates(record, [late, soon])] == [(late, Match.NO)]


def test_the_capture_that_a_person_names_becomes_the_intent_s(journal):
    record = posted(journal, "lost")
    say_accepted(journal, record, capture(1))
    found = journal.find(record.intent.intent_id)
    assert (found.capture_id, found.ended) == (capture(1).id, None)
    for again in (
        lambda: say_accepted(journal, found, capture(2)),
        lambda: say_not_accepted(journal, found, at=NOW),
    ):
        with pytest.raises(InvalidRequest, match="nothing to resolve"):
            again()


def test_a_capture_of_another_type_or_another_intent_is_refused(journal):
    record, other = posted(journal, "lost"), posted(journal, "other")
    journal.accept(other.intent.intent_id, capture(1).raw)
    with pytest.raises(InvalidRequest, match=f"belongs to intent {other.intent.intent_id}"):
        say_accepted(journal, record, capture(1))
    with pytest.raises(InvalidRequest, match="is a simple one"):
        say_accepted(journal, record, capture(2, type="simple"))
    assert not journal.find(record.intent.intent_id).accepted
    say_accepted(journal, record, capture(3, type=None))  # an API that does not say


def test_an_intent_resolved_as_not_accepted_stays_ended(journal):
    record = posted(journal, "lost", SimpleRequest(time_limit=5))
    say_not_accepted(journal, record, at=NOW)
    found = journal.find(record.intent.intent_id)
    assert (found.ended.outcome, found.ended.at) == ("never-accepted", NOW)
    assert find_intent(journal, record.intent.intent_id) == found, "by its whole id also once it is over"
    for again in (
        lambda: say_accepted(journal, found, capture(1, type="simple")),
        lambda: say_not_accepted(journal, found, at=NOW),
    ):
        with pytest.raises(InvalidRequest, match="is over: a person says"):
            again()
