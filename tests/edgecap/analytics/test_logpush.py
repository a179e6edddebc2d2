"""Files of a window of time in a bucket: found by name, read whatever is in them, all accounted for."""

import gzip
from datetime import timedelta

import pytest
from backports import zstd

from edgecap.analytics.logpush import Read, Wanted, find_files, read_rows
from edgecap.analytics.rows import Texts
from edgecap.stores.base import ObjectInfo
from edgecap.stores.folder import FolderStore
from tests.edgecap.analytics.logpush_rows import NOON, TARGET, lines, passed, put, row

MINUTE = timedelta(minutes=1)


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path)


def wanted(*targets, since=NOON, until=NOON + 10 * MINUTE):
    return Wanted(targets or (TARGET,), since, until)


def read(store, want, files=None):
    """How many rows are used, and what became of all."""
    told = Read()
    files = find_files(store, want.since, want.until) if files is None else files
    used = sum(len(each) for each in read_rows(store, files, want, told, Texts()))
    assert used == told.used
    return used, told


def test_the_files_around_a_window_are_found_by_name(store):
    near = put(store, row(), at=NOON - 5 * MINUTE)
    inside = put(store, row(), at=NOON + 2 * MINUTE)
    put(store, row(), at=NOON - 60 * MINUTE)
    put(store, row(), at=NOON + 60 * MINUTE)
    for name in ("20261129/readme.txt", "20261129/20261129T1200Z_x.log.gz", "ownership-challenge-1f.txt"):
        store.put(name, b"")
    assert [each.key for each in find_files(store, NOON, NOON + 10 * MINUTE)] == [near, inside]


def test_a_window_over_midnight_is_in_two_folders(store):
    midnight = NOON + timedelta(hours=12)
    keys = [put(store, row(), at=midnight - 5 * MINUTE), put(store, row(), at=midnight)]
    assert [each.key for each in find_files(store, midnight - MINUTE, midnight + MINUTE)] == keys


def test_rows_of_the_target_and_the_window_are_used(store):
    rows = [
        row(),
        row("udp", six=True),
        row(IPDestinationAddress="203.0.113.8"),
        row(at=NOON - MINUTE),
        row(at=NOON + 10 * MINUTE),
        passed(at=NOON + 9 * MINUTE),
    ]
    put(store, *rows)
    assert read(store, wanted())[0] == 2
    assert read(store, wanted("203.0.113.0/24"))[0] == 3
    assert read(store, wanted("2001:db8::/32"))[0] == 1
    assert read(store, wanted("2001:db8::/32", "203.0.113.8"))[0] == 2
    used, told = read(store, wanted("192.0.2.1"))
    assert (used, told.rows, told.elsewhere, told.unusable()) == (0, 6, 6, [])


def test_a_cut_file_gives_what_is_whole_and_says_so(store):
    rows = lines(*[row(TCPSequenceNumber=number * 7919 % 2**32) for number in range(2000)])
    key = put(store, data=gzip.compress(rows)[:-4000])
    put(store, row(), name="whole")
    used, told = read(store, wanted())
    assert 100 < used < 2001
    cut, row_cut = told.unusable()
    assert cut.startswith(f"{key}: the gzip stream is cut after ")
    assert row_cut == "1 file ends in the middle of a row"


@pytest.mark.parametrize("pack", [bytes, zstd.compress, gzip.compress], ids=["plain", "zstd", "gzip"])
def test_every_packing_is_read(store, pack):
    put(store, data=pack(lines(row(), row())))
    assert read(store, wanted())[0] == 2


def test_what_is_not_usable_is_counted_and_said(store):
    data = lines(
        row(),
        {"ClientIP": "198.51.100.9", "EdgeStartTimestamp": 1},
        {"ClientIP": "198.51.100.9", "EdgeStartTimestamp": 2},
        row(without=["IPDestinationAddress"]),
        row(Datetime="soon"),
        row(SourcePort=70_000),
    )
    put(store, data=gzip.compress(data + b"rubbish\n"))
    used, told = read(store, wanted())
    assert used == 2
    assert told.unusable() == [
        "1 line is no JSON object",
        "2 rows are of another dataset",
        "1 row has no readable destination",
        "1 row has no readable time",
        "2 values were not understood",
    ]


def test_a_file_that_is_gone_stops_no_other(store):
    put(store, row())
    gone = ObjectInfo("20261129/20261129T115500Z_20261129T120000Z_gone.log.gz", 9, NOON)
    files = [gone, *find_files(store, NOON, NOON + MINUTE)]
    used, told = read(store, wanted(), files)
    assert used == 1
    assert told.faults[0].startswith(gone.key)


def test_an_empty_bucket_has_no_rows(store):
    put(store, data=b"")
    put(store, data=gzip.compress(b""), name="empty")
    assert read(store, wanted()) == (0, Read(files=2))
