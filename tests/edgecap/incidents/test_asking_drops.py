"""An incident asks what was dropped: both sources, whose faults are no error, and one record a round."""

import asyncio
from datetime import timedelta

import pytest

from edgecap.incidents.asking_drops import BEFORE, LONGEST, ask_for, question_of
from edgecap.incidents.drops import newest, read_drops
from edgecap.packets.inspect import inspect_file
from edgecap.settings import Account, Settings
from edgecap.stores.folder import FolderStore
from tests.drops_graphql import attack, dropping
from tests.edgecap.analytics.logpush_rows import NOON, TARGET, passed, put, row
from tests.graphql import ACCOUNT

MINUTE = timedelta(minutes=1)
ID = "ab" * 16


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "archive").mkdir()
    return FolderStore(tmp_path / "archive")


@pytest.fixture
def bucket(tmp_path):
    (tmp_path / "logs").mkdir()
    return FolderStore(tmp_path / "logs")


def question(asked="closing", targets=(TARGET,)):
    return question_of(ID, asked, targets, NOON, NOON + 3 * MINUTE, NOON + 60 * MINUTE)


def look(archive, server=None, logpush="", asked="closing"):
    analytics = {"logpush": logpush, "enabled": server is not None}
    account = Account(
        account_id=ACCOUNT, api_token="t" * 20, base_url=server.url if server else "http://127.0.0.1:9",
        analytics=analytics,
    )  # fmt: skip
    return asyncio.run(ask_for(question(asked), Settings(), account, archive))


def test_both_sources_are_written_down_and_the_headers_kept(archive, bucket):
    put(bucket, row(), row("udp"), passed(), passed(IPDestinationAddress="203.0.113.9"))
    with dropping(attack(NOON)) as server:
        drops = look(archive, server, bucket.uri)
    assert (drops.problems, drops.refused, read_drops(archive, ID)) == ((), False, (drops,))
    assert drops.analytics.dropped.value == 36_000_000
    assert (drops.logpush.dropped.value, drops.logpush.passed.value) == (2000, 1000)
    assert drops.best is drops.analytics
    file = drops.logpush.packets
    assert (file.packets, file.key) == (2, f"incidents/{ID}/dropped/closing.pcapng")
    assert inspect_file(archive.local(file.key)).packets == 2


def test_the_first_record_of_a_round_stands(archive, bucket):
    put(bucket, row())
    first = look(archive, logpush=bucket.uri)
    put(bucket, row(), name="later")
    assert look(archive, logpush=bucket.uri) == first
    settled = look(archive, logpush=bucket.uri, asked="after-15-min")
    assert settled.logpush.dropped.value == 2000
    assert [each.round for each in read_drops(archive, ID)] == ["closing", "after-15-min"]
    assert newest(read_drops(archive, ID)) == settled


def test_the_same_packets_are_kept_once(archive, bucket):
    put(bucket, row())
    first, second = (look(archive, logpush=bucket.uri, asked=each) for each in ("closing", "after-12-h"))
    assert first.logpush.packets.key == second.logpush.packets.key
    assert sum(each.key.endswith(".pcapng") for each in archive.list("incidents/")) == 1


def test_a_source_that_refuses_or_has_nothing_is_named(archive, bucket):
    with dropping(refuses=True) as server:
        drops = look(archive, server, bucket.uri)
    assert drops.refused
    refused, empty = drops.problems
    assert "refuses the credentials" in refused
    assert "Logpush has pushed no file of that time" in empty
    assert (drops.best, newest(read_drops(archive, ID))) == (None, None)


def test_an_unknown_bucket_is_named(archive):
    drops = look(archive, logpush="logs")
    assert "no bucket is called 'logs'" in drops.problems[0]


def test_the_window_is_the_attack_s_with_a_margin():
    asked = question()
    assert (asked.since, asked.until) == (NOON - BEFORE, NOON + 5 * MINUTE)
    endless = question_of(ID, "closing", [TARGET], NOON, None, NOON + timedelta(days=3))
    assert endless.until - endless.since == LONGEST
    early = question_of(ID, "closing", [TARGET], NOON, None, NOON - MINUTE)
    assert early.since < early.until


def test_targets_that_are_no_addresses_are_not_asked_for():
    assert question(targets=("example.com",)) is None
    assert question(targets=("example.com", TARGET)).targets == (TARGET,)
