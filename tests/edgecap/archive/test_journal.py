"""The journal: a second writer gets what the first one wrote."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Answer, Ended, Intent, JournalRecord, Posting
from edgecap.errors import Damaged, ObjectExists, UnexpectedAnswer
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.stores.folder import FolderStore

NOW = datetime(2026, 11, 23, 6, 34, 6, 123456, tzinfo=UTC)


def intent(intent_id: str = "i1", **more) -> Intent:
    fields = {
        "intent_id": intent_id,
        "request": SimpleRequest(offset_time=NOW),
        "account": "default",
        "archive": "main",
        "body": {"type": "simple", "time_limit": 60},
        "decided": NOW,
        "run": "run-1 calm-otter",
        **more,
    }
    return Intent(**fields)


def read(store, key: str) -> str:
    with store.open(key) as reader:
        return b"".join(reader).decode()


def test_an_intent_is_found_as_it_was_begun(store):
    journal = Journal(store)
    assert journal.find("i1") is None
    assert journal.begin(intent()) == intent()
    record = journal.find("i1")
    assert (record.intent, record.accepted, record.capture_id) == (intent(), None, "")


def test_a_restarted_run_gets_the_first_journalled_intent(store):
    journal = Journal(store)
    journal.begin(intent())
    later = intent(decided=NOW + timedelta(hours=1), body={"type": "simple", "time_limit": 300})
    assert journal.begin(later) == intent()
    assert Journal(store).find("i1").intent == intent()


def test_accepting_the_same_capture_again_changes_nothing_and_another_is_refused(store):
    journal = Journal(store)
    journal.begin(intent())
    journal.accept("i1", {"id": "c1", "status": "pending"})
    assert journal.accept("i1", {"id": "c1", "status": "success"}).capture["status"] == "pending"
    with pytest.raises(ObjectExists, match="intent i1 led to capture c1, and now to c2 too"):
        journal.accept("i1", {"id": "c2"})
    assert journal.find("i1").capture_id == "c1"


def test_a_posting_is_written_once_and_says_what_its_answer_proved(store):
    """Two lives of a run that both think that they hold the lane: only one may post."""
    journal = Journal(store)
    journal.begin(intent())
    first = Posting(number=1, at=NOW, destination="r2://b?account-id=1", listed=("c0",))
    journal.post("i1", first)
    with pytest.raises(ObjectExists):
        journal.post("i1", Posting(number=1, at=NOW + timedelta(seconds=1)))
    journal.answer("i1", Answer(number=1, at=NOW, refused=True, what="busy"))
    journal.answer("i1", Answer(number=1, at=NOW, refused=False))
    journal.post("i1", Posting(number=2, at=NOW))
    record = journal.find("i1")
    assert record.postings == (first, Posting(number=2, at=NOW))
    assert record.answers == (Answer(number=1, at=NOW, refused=True, what="busy"),)
    assert [each.postings for each in journal.open()] == [record.postings]
    journal.accept("i1", {"id": "c1"})
    assert journal.find("i1").postings == ()


def test_a_repeated_intent_is_followed_to_the_one_that_repeats_it(store):
    journal = Journal(store)
    assert journal.follow("i1") is None
    journal.begin(intent())
    journal.end("i1", Ended(outcome="repeated", reason="unknown", repeated_by="i2", at=NOW))
    assert journal.follow("i1").intent.intent_id == "i1"
    journal.begin(intent("i2", repeats="i1"))
    assert journal.follow("i1").intent.repeats == "i1"


@pytest.mark.parametrize("answer", [{}, {"id": ""}, {"id": None}, {"id": 7}])
def test_an_accepted_capture_without_an_id_is_an_error(folder, answer):
    with pytest.raises(UnexpectedAnswer, match="named no capture"):
        Journal(folder).accept("i1", answer)


def test_no_secret_reaches_the_journal(store):
    journal = Journal(store)
    secret = "r2://b?account-id=1&access-key-id=AKAK&secret-access-key=SKSK"
    body = {"type": "full", "destination_conf": secret, "note": secret, "deep": [{"x": secret}]}
    journal.begin(intent(request=FullRequest(colo="ORD"), body=body))
    journal.accept("i1", {"id": "c1", "destination_conf": secret.replace("&", "%26"), "unknown": [secret]})
    for name in ("intent", "accepted"):
        text = read(store, f"intents/i1/{name}.json")
        assert "AKAK" not in text
        assert "SKSK" not in text
    assert "destination_conf" not in journal.find("i1").intent.body
    assert journal.find("i1").accepted.capture["destination_conf"] == "r2://b?***"


def test_records_are_pretty_sorted_and_end_with_a_newline(folder):
    Journal(folder).begin(intent())
    text = read(folder, "intents/i1/intent.json")
    data = json.loads(text)
    assert text == json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert data["format"] == "edgecap-intent/1"
    assert data["decided"] == "2026-11-23T06:34:06.123456Z"


def test_half_characters_and_nan_from_an_answer_are_stored_as_valid_json(folder):
    journal = Journal(folder)
    journal.begin(intent())
    journal.accept("i1", {"id": "c1", "x\ud800": ["\udfff", float("nan"), {"ok": 1.5}]})
    assert journal.find("i1").accepted.capture == {"id": "c1", "x?": ["?", "nan", {"ok": 1.5}]}


def test_pending_lists_intents_with_and_without_a_capture(store):
    journal = Journal(store)
    for name in ("i1", "i2", "../odd id"):
        journal.begin(intent(name))
    journal.accept("i2", {"id": "c2"})
    assert {r.intent.intent_id: r.capture_id for r in journal.records()} == {
        "i1": "",
        "i2": "c2",
        "../odd id": "",
    }
    assert list(journal.records(since=datetime.now(UTC) + timedelta(minutes=5))) == []
    assert len(list(journal.records(since=datetime.now(UTC) - timedelta(minutes=5)))) == 3


def ended(outcome: str = "archived", **more) -> Ended:
    return Ended(**{"outcome": outcome, "reason": "3 packets in 1 file", "at": NOW, **more})


def test_an_ending_is_found_and_the_first_one_stands(store):
    journal = Journal(store)
    journal.begin(intent())
    assert journal.find("i1").ended is None
    first = ended(entry="captures/x/")
    assert journal.end("i1", first) == first
    assert journal.end("i1", ended("failed", reason="no packets", error="CaptureFailed")) == first
    assert journal.find("i1").ended == first
    assert [record.ended for record in journal.records()] == [first]


def test_open_returns_intents_without_an_ending(store):
    journal = Journal(store)
    for name in ("i1", "i2", "i3", "../odd id"):
        journal.begin(intent(name))
    journal.accept("i1", {"id": "c1"})
    journal.accept("i3", {"id": "c3"})
    journal.end("i3", ended())
    journal.end("i2", ended("never-accepted"))
    assert {r.intent.intent_id: r.capture_id for r in journal.open()} == {"i1": "c1", "../odd id": ""}
    assert list(journal.open(since=datetime.now(UTC) + timedelta(minutes=5))) == []
    assert len(list(journal.open(since=datetime.now(UTC) - timedelta(minutes=5)))) == 2


class CountingStore(FolderStore):
    """A folder that counts how often it is listed and which keys are read."""

    def __init__(self, root):
        super().__init__(root)
        self.listings = 0
        self.reads = []

    def list(self, prefix=""):
        self.listings += 1
        return super().list(prefix)

    def open(self, key, **how):
        self.reads.append(key)
        return super().open(key, **how)


def test_intents_that_ended_cost_no_read(tmp_path):
    store = CountingStore(tmp_path)
    journal = Journal(store)
    for number in range(50):
        journal.begin(intent(f"done-{number}"))
        journal.end(f"done-{number}", ended())
    journal.begin(intent("open"))
    store.reads.clear()
    assert [record.intent.intent_id for record in journal.open()] == ["open"]
    assert store.listings == 1
    names = ("intent", "accepted", "posting-1")
    assert store.reads == [f"intents/open/{name}.json" for name in names]


def test_an_unreadable_ending_still_ends_its_intent_and_find_reports_it(folder):
    journal = Journal(folder)
    journal.begin(intent())
    folder.put("intents/i1/ended.json", b"garbage")
    assert list(journal.open()) == []
    with pytest.raises(Damaged, match="no ended that this version reads"):
        journal.find("i1")


def test_one_unreadable_open_intent_does_not_hide_the_others(folder):
    journal = Journal(folder)
    folder.put("intents/i1/intent.json", b"garbage")
    journal.begin(intent("i2"))
    found = journal.open()
    assert next(found).intent.intent_id == "i2"
    with pytest.raises(Damaged, match=r"1 records .*i1/intent.json"):
        next(found)


def test_no_secret_reaches_an_ending(folder):
    journal = Journal(folder)
    journal.begin(intent())
    journal.end("i1", ended("failed", reason="no r2://b?access-key-id=AKAK&secret-access-key=SKSK"))
    text = read(folder, "intents/i1/ended.json")
    assert "AKAK" not in text
    assert "SKSK" not in text


def test_one_unreadable_record_does_not_hide_the_others_and_is_not_silent(folder):
    journal = Journal(folder)
    journal.begin(intent("i1"))
    folder.put("intents/i2/intent.json", b"garbage")
    journal.begin(intent("i3"))
    found = journal.records()
    assert {next(found).intent.intent_id, next(found).intent.intent_id} == {"i1", "i3"}
    with pytest.raises(Damaged, match=r"1 records .*i2/intent.json"):
        next(found)
    with pytest.raises(Damaged, match=r"no intent that this version reads.*i2"):
        journal.find("i2")


def test_fields_of_a_newer_version_are_kept(folder):
    data = json.loads(intent().model_dump_json()) | {"mood": "calm"}
    folder.put("intents/i1/intent.json", json.dumps(data).encode())
    assert Journal(folder).find("i1").intent.model_extra == {"mood": "calm"}


def test_it_says_where_it_is(folder):
    assert repr(Journal(folder)) == f"<Journal {folder.uri}/intents/>"


def test_refusals_long_before_the_last_one_are_of_another_row():
    def answer(number, minute, *, refused=True):
        return Answer(number=number, at=NOW + timedelta(minutes=minute), refused=refused)

    answers = [answer(1, 0), answer(2, 1, refused=False), answer(3, 2), answer(4, 30), answer(5, 35)]
    record = JournalRecord(intent(), answers=tuple(reversed(answers)))
    assert [each.number for each in record.refusals(apart=timedelta(minutes=10))] == [4, 5]
    assert [each.number for each in record.refusals(apart=timedelta(minutes=30))] == [3, 4, 5]
    assert JournalRecord(intent()).refusals(apart=timedelta(minutes=10)) == ()
