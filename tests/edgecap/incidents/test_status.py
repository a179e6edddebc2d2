"""What became of a planned capture, from the journal and the archive."""

from datetime import UTC, datetime, timedelta

import pytest

from edgecap.archive.journal_records import Accepted, Ended, Intent, JournalRecord
from edgecap.errors import StoreMissing
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.record import Lost
from edgecap.incidents.status import part_of
from tests.edgecap.incidents.inbox.inbox_parts import alert, plan
from tests.edgecap.report.archive import damage_manifest, keep_summary, open_archive
from tests.edgecap.report.summaries import flood

NOW = datetime(2026, 11, 23, 6, 40, tzinfo=UTC)
INCIDENT = "1f0c22ab" * 4
PLANNED = plan(alert()).captures[0]
INTENT = Intent(
    intent_id="i1",
    request=PLANNED.request,
    account="default",
    archive="default",
    body={},
    decided=NOW,
    run="",
)
ACCEPTED = Accepted(capture_id="c1", capture={"id": "c1"})


@pytest.fixture
def store(tmp_path):
    return open_archive(tmp_path / "archive")


def ended(outcome, reason="", **more):
    return JournalRecord(INTENT, ACCEPTED, Ended(outcome=outcome, reason=reason, at=NOW, **more))


@pytest.mark.parametrize(
    ("record", "state", "reason", "capture_id"),
    [
        (None, "pending", "not asked for yet", ""),
        (JournalRecord(INTENT), "pending", "about to be asked for", ""),
        (JournalRecord(INTENT, ACCEPTED), "pending", "it is being captured", "c1"),
        (ended("failed", "no packets matched"), "missing", "no packets matched", "c1"),
    ],
)
def test_a_capture_without_an_entry_says_why(store, record, state, reason, capture_id):
    part = part_of(store, INCIDENT, PLANNED, record)
    assert (part.state, part.reason, part.capture_id) == (state, reason, capture_id)
    assert (part.phase, part.number, part.request) == ("before", 1, str(PLANNED.request))


def test_a_capture_knows_when_cloudflare_accepted_it(store):
    capture = {"id": "c1", "submitted": "2026-11-23T06:41:02.5Z"}
    record = JournalRecord(INTENT, Accepted(capture_id="c1", capture=capture))
    assert part_of(store, INCIDENT, PLANNED, record).submitted == NOW + timedelta(seconds=62.5)
    for told in (None, "soon", "2026-11-23T06:41:02"):
        record = JournalRecord(INTENT, Accepted(capture_id="c1", capture={"submitted": told}))
        assert part_of(store, INCIDENT, PLANNED, record).submitted is None


def test_a_capture_whose_run_failed_before_the_journal_is_missing(store):
    Incidents(store).lose(INCIDENT, "before", 1, Lost(reason="the bucket is not registered", at=NOW))
    part = part_of(store, INCIDENT, PLANNED, None)
    assert (part.state, part.reason) == ("missing", "the bucket is not registered")


def test_a_capture_that_was_accepted_after_all_is_not_missing(store):
    Incidents(store).lose(INCIDENT, "before", 1, Lost(reason="the bucket is not registered", at=NOW))
    assert part_of(store, INCIDENT, PLANNED, JournalRecord(INTENT, ACCEPTED)).state == "pending"


def test_an_entry_gives_its_numbers(store):
    entry = keep_summary(store, flood())
    part = part_of(store, INCIDENT, PLANNED, ended("archived", entry=entry.prefix))
    assert (part.state, part.entry, part.reason) == ("archived", entry.prefix, "")
    totals = entry.manifest.totals
    assert (part.packets, part.bytes) == (totals.packets, totals.size)


def test_an_entry_that_is_damaged_or_gone_counts_as_archived(store, tmp_path):
    entry = keep_summary(store, flood())
    damage_manifest(tmp_path / "archive", entry)
    for prefix in (entry.prefix, "captures/2026/11/23/2026-11-23T06-30-00Z_full_ORD_gone/"):
        part = part_of(store, INCIDENT, PLANNED, ended("archived", entry=prefix))
        assert (part.state, part.packets) == ("archived", None)


def test_an_archive_that_is_away_is_an_error(store, tmp_path):
    """Its entry may be there: nothing is known, and an incident must not close on that."""
    entry = keep_summary(store, flood())
    (tmp_path / "archive").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreMissing):
        part_of(store, INCIDENT, PLANNED, ended("archived", entry=entry.prefix))
