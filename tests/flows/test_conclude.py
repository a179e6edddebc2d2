"""What a failed run writes into the journal, and what it leaves to `reconcile`."""

from datetime import UTC, datetime

import pytest

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Answer
from edgecap.captures.intent import decide
from edgecap.captures.order import CaptureOrder
from edgecap.captures.posting import about_to_post
from edgecap.cloudflare.models import Listing
from edgecap.errors import CaptureFailed, NoPermission, OutcomeUnknown, ServerFailure
from edgecap.requests import SimpleRequest
from edgecap.settings import load_settings
from edgecap.stores import open_store
from tasks.archive import close_intent

NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
REFUSED = NoPermission("not allowed", status=403, sent=True)


@pytest.fixture
def journal(tmp_path, monkeypatch):
    (tmp_path / "edgecap.toml").touch()
    monkeypatch.setenv("EDGECAP_CONFIG", str(tmp_path / "edgecap.toml"))
    monkeypatch.setenv("EDGECAP_ARCHIVES__DEFAULT__URI", f"file:{tmp_path}")
    return Journal(open_store(load_settings().archive()))


@pytest.fixture
def intent(journal):
    order = CaptureOrder(SimpleRequest(time_limit=5), "run")
    return journal.begin(decide(order, load_settings(), now=NOW))


async def outcome(journal, intent, error):
    await close_intent(intent.intent_id, "default", error)
    ended = journal.find(intent.intent_id).ended
    return ended.outcome if ended else "open"


def post(journal, intent):
    about_to_post(journal, journal.find(intent.intent_id), Listing([], NOW), "")


async def test_what_may_have_been_posted_is_never_said_to_be_not_accepted(journal, intent):
    """A refusal may be the answer to a later call than the POST, whose own was lost."""
    post(journal, intent)
    assert await outcome(journal, intent, REFUSED) == "open"
    said = Answer(number=1, at=NOW, refused=True, what="not allowed")
    journal.answer(intent.intent_id, said)
    assert await outcome(journal, intent, REFUSED) == "never-accepted"


async def test_what_was_never_posted_is_over_when_its_run_fails_for_good(journal, intent):
    assert await outcome(journal, intent, REFUSED) == "never-accepted"
    assert journal.find(intent.intent_id).ended.error == "NoPermission"


@pytest.mark.parametrize(
    "error", [ServerFailure("503", status=503), OutcomeUnknown("it cannot be told")], ids=["away", "unknown"]
)
async def test_what_may_pass_or_is_for_a_person_stays_open(journal, intent, error):
    assert await outcome(journal, intent, error) == "open"


async def test_an_accepted_capture_is_over_only_if_it_failed_itself(journal, intent):
    post(journal, intent)
    journal.accept(intent.intent_id, {"id": "c" * 32})
    assert await outcome(journal, intent, REFUSED) == "open"
    assert await outcome(journal, intent, CaptureFailed("no packets")) == "failed"
