"""From fetched files to an entry, and to the end of its intent: the path that runs and `reconcile` share."""

import pytest

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Answer, Intent
from edgecap.archive.verify import verify_entry
from edgecap.captures import keep as module
from edgecap.captures.derive import derive_for
from edgecap.captures.fetching import Fetching
from edgecap.captures.keep import close, close_failed, keep
from edgecap.captures.posting import about_to_post
from edgecap.cloudflare.models import Listing
from edgecap.errors import CaptureFailed, NoPermission, ObjectChanged, OutcomeUnknown, ServerFailure
from edgecap.requests import SimpleRequest
from edgecap.settings import Settings
from edgecap.stores.folder import FolderStore
from tests.edgecap.captures.test_derive import START, job, put_raw, recorded

CAPTURE = job(kind="simple")
REFUSED = NoPermission("not allowed", status=403, sent=True)


@pytest.fixture
def archive(tmp_path):
    return FolderStore(tmp_path)


@pytest.fixture
def intent(archive):
    request = SimpleRequest(time_limit=60, offset_time=START)
    return Journal(archive).begin(
        Intent(intent_id="i1", request=request, account="default", archive="default", body={}, decided=START)
    )


@pytest.fixture
def fetched(archive):
    return Fetching(tuple(put_raw(archive, CAPTURE, {"all.pcap": recorded("ord02-s1")})), missing=True)


def test_an_entry_has_the_fetched_and_derived_files_and_the_intent(archive, intent, fetched):
    entry = keep(archive, CAPTURE, fetched, intent)
    manifest = entry.manifest
    assert verify_entry(archive, entry) == []
    assert sorted(file.role for file in manifest.files) == ["flows", "merged", "raw", "summary"]
    assert (manifest.state, manifest.flags) == ("partial", ("partial",))
    assert manifest.request == intent.request.model_dump(mode="json")
    assert manifest.intent["intent_id"] == intent.intent_id
    assert (manifest.times.decided, manifest.times.fetched) == (START, fetched.at)
    derived = derive_for(archive, CAPTURE, fetched.files, intent)
    assert manifest.verdict == derived.verdict != ""
    assert keep(archive, CAPTURE, fetched, intent, derived=derived) == entry


def test_an_intent_ends_with_its_entry_and_the_first_ending_stands(archive, intent, fetched):
    entry = keep(archive, CAPTURE, fetched, intent)
    assert close(archive, Settings(), intent, entry) is None
    ended = Journal(archive).find(intent.intent_id).ended
    assert (ended.outcome, ended.entry) == ("archived", entry.prefix)
    assert ended.reason == f"{entry.manifest.totals.packets:,} packets in 1 file"
    close(archive, Settings(), intent, entry, outcome="cancelled")
    assert Journal(archive).find(intent.intent_id).ended == ended


def test_an_intent_is_open_until_delivered_files_are_deleted(archive, intent, fetched, monkeypatch):
    """A run that dies before it has deleted them leaves that to `reconcile`."""

    def dies(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "clear_for", dies)
    entry = keep(archive, CAPTURE, fetched, intent)
    with pytest.raises(KeyboardInterrupt):
        close(archive, Settings(), intent, entry)
    assert Journal(archive).find(intent.intent_id).ended is None
    close(archive, Settings(), intent, entry, clear=False)
    assert Journal(archive).find(intent.intent_id).ended


class TestFailedRuns:
    """What a failed run writes into the journal, and what it leaves to `reconcile`."""

    @pytest.fixture
    def outcome(self, archive, intent):
        def found(error):
            close_failed(archive, intent.intent_id, error)
            ended = Journal(archive).find(intent.intent_id).ended
            return ended.outcome if ended else "open"

        return found

    @pytest.fixture
    def posted(self, archive, intent):
        journal = Journal(archive)
        about_to_post(journal, journal.find(intent.intent_id), Listing([], START), "")
        return journal

    def test_a_request_that_was_never_posted_is_over(self, archive, intent, outcome):
        assert outcome(REFUSED) == "never-accepted"
        assert Journal(archive).find(intent.intent_id).ended.error == "NoPermission"

    def test_a_request_that_may_have_been_accepted_stays_open(self, posted, intent, outcome):
        """A refusal may be the answer to a later call than the POST, whose own was lost."""
        assert outcome(REFUSED) == "open"
        posted.answer(intent.intent_id, Answer(number=1, at=START, refused=True, what="not allowed"))
        assert outcome(REFUSED) == "never-accepted"

    @pytest.mark.parametrize(
        "error",
        [ServerFailure("503", status=503), ObjectChanged("replaced"), OutcomeUnknown("it cannot be told")],
        ids=["away", "changed", "unknown"],
    )
    def test_an_error_that_may_pass_or_needs_a_person_ends_nothing(self, outcome, error):
        assert outcome(error) == "open"

    def test_an_accepted_capture_is_over_only_if_it_failed_itself(self, posted, intent, outcome):
        posted.accept(intent.intent_id, {"id": "c" * 32})
        assert outcome(REFUSED) == "open"
        assert outcome(CaptureFailed("no packets")) == "failed"
