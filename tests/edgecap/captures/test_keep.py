"""From fetched files to an entry, and to the end of its intent: the path that runs and `reconcile` share."""

import pytest

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Intent
from edgecap.archive.verify import verify_entry
from edgecap.captures import keep as module
from edgecap.captures.derive import derive_for
from edgecap.captures.fetching import Fetching
from edgecap.captures.keep import close, keep
from edgecap.requests import SimpleRequest
from edgecap.settings import Settings
from edgecap.stores.folder import FolderStore
from tests.edgecap.captures.test_derive import START, job, put_raw, recorded

CAPTURE = job(kind="simple")


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
