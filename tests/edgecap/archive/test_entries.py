"""Finding and listing entries, with nothing but the archive's keys to go by."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.archive.entries import date_prefixes, find_entry, list_entries
from edgecap.errors import Damaged, EntryMissing
from edgecap.stores import Store

START = datetime(2026, 10, 30, 22, 0, tzinfo=UTC)


@dataclass
class Watched:
    """A store that remembers what was asked of it."""

    store: Store
    listed: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    def list(self, prefix=""):
        self.listed.append(prefix)
        return self.store.list(prefix)

    def open(self, key, **more):
        self.opened.append(key)
        return self.store.open(key, **more)

    def __getattr__(self, name):
        return getattr(self.store, name)


@pytest.fixture
def filled(store, capture, keep, two_servers):
    """Six captures, twenty hours apart: over days, a change of month, types and places."""
    for i in range(6):
        more = {"type": "simple"} if i % 3 == 0 else {"colo_name": "ORD" if i % 3 == 1 else "ams01"}
        submitted = (START + i * timedelta(hours=20)).isoformat()
        keep(store, capture(f"{i}{i}abcdef" + f"{i}" * 24, submitted, **more), two_servers)
    return store


def numbers(entries) -> list[int]:
    return [int(entry.manifest.entry_id[0]) for entry in entries]


def test_entries_are_listed_newest_first_and_filtered(filled):
    assert numbers(list_entries(filled)) == [5, 4, 3, 2, 1, 0]
    assert numbers(list_entries(filled, limit=2)) == [5, 4]
    assert numbers(list_entries(filled, limit=0)) == []
    assert numbers(list_entries(filled, type="simple")) == [3, 0]
    assert numbers(list_entries(filled, type="full", colo="ord")) == [4, 1]
    assert numbers(list_entries(filled, colo="AMS01", limit=1)) == [5]
    since = START + timedelta(hours=20)
    assert numbers(list_entries(filled, since=since)) == [5, 4, 3, 2, 1]
    assert numbers(list_entries(filled, since=since, until=START + timedelta(hours=60))) == [2, 1]
    assert numbers(list_entries(filled, until=START)) == []
    # A time between the whole seconds that a prefix has.
    assert numbers(list_entries(filled, since=since + timedelta(microseconds=1), limit=9))[-1] == 1


def test_only_the_wanted_days_are_listed_and_only_shown_entries_read(filled):
    watched = Watched(filled)
    since, until = datetime(2026, 10, 31, 9, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
    assert numbers(list_entries(watched, since=since, until=until)) == [2, 1]
    assert watched.listed == [
        "captures/2026/11/02/",
        "captures/2026/11/01/",
        "captures/2026/10/31/",
    ]
    watched = Watched(filled)
    assert numbers(list_entries(watched, limit=1)) == [5]
    assert len(watched.opened) == 1


def test_an_entry_is_found_by_id_beginning_prefix_key_or_address(filled):
    entry = find_entry(filled, "33abcdef" + "3" * 24)
    assert entry.manifest.colo == ""
    assert entry.uri == filled.uri
    for name in ("33", "33abc", entry.prefix, entry.prefix[:-1], entry.prefix + "raw/x.pcap", entry.where):
        assert find_entry(filled, name) == entry


@pytest.mark.parametrize("name", ["", "  ", "99", "captures/", "captures/2026/", "../x", "a" * 3000, "\0"])
def test_what_is_not_there_is_one_clear_line(filled, name):
    with pytest.raises(EntryMissing) as caught:
        find_entry(filled, name)
    assert "\n" not in str(caught.value)


def test_an_ambiguous_beginning_names_what_it_may_mean(store, capture, keep, two_servers):
    for i in range(4):
        keep(store, capture(f"abc{i}" + "0" * 28), two_servers)
    with pytest.raises(EntryMissing, match=r"4 entries begin with 'abc': abc\d0+, abc\d0+, abc\d0+, \.\.\."):
        find_entry(store, "abc")
    assert find_entry(store, "abc2").manifest.entry_id == "abc2" + "0" * 28


def test_a_full_id_wins_over_longer_ones_that_begin_so(folder, capture, keep, two_servers):
    keep(folder, capture("abc"), two_servers)
    keep(folder, capture("abcd", "2026-11-24T00:00:00Z"), two_servers)
    assert find_entry(folder, "abc").manifest.entry_id == "abc"


def test_one_unreadable_manifest_does_not_hide_the_others_and_is_not_silent(
    folder, capture, keep, two_servers
):
    keep(folder, capture("1" * 32, "2026-11-21T00:00:00Z"), two_servers)
    folder.put(f"captures/2026/11/22/2026-11-22T00-00-00Z_full_ORD_{'2' * 32}/manifest.json", b"{}")
    keep(folder, capture("3" * 32, "2026-11-23T00:00:00Z"), two_servers)
    found = list_entries(folder)
    assert [next(found).manifest.entry_id[0], next(found).manifest.entry_id[0]] == ["3", "1"]
    with pytest.raises(Damaged, match=r"1 manifest cannot be read .*2{32}"):
        next(found)


def test_a_capture_without_a_manifest_is_no_entry(folder):
    folder.put(f"captures/2026/11/22/2026-11-22T00-00-00Z_full_ORD_{'2' * 32}/raw/a.pcap", b"x")
    folder.put(f"captures/2026/11/22/2026-11-22T00-00-00Z_full_ORD_{'2' * 32}/raw/manifest.json", b"x")
    assert list(list_entries(folder)) == []
    with pytest.raises(EntryMissing):
        find_entry(folder, "2" * 32)


times = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2027, 12, 31))


@given(one=times, other=times, now=times, day=times)
def test_periods_cover_each_day_asked_for_once_and_no_other(one, other, now, day):
    since, until = sorted((one.replace(tzinfo=UTC), other.replace(tzinfo=UTC)))
    periods = list(date_prefixes(since, until, now.replace(tzinfo=UTC)))
    hits = [period for period in periods if f"{day:%Y/%m/%d}/".startswith(period)]
    assert len(hits) == (since.date() <= day.date() <= until.date())
    assert [period.ljust(11, "~") for period in periods] == sorted(
        (period.ljust(11, "~") for period in periods), reverse=True
    )


@given(now=times)
def test_without_bounds_everything_up_to_the_end_of_next_year_is_covered(now):
    periods = list(date_prefixes(None, None, now.replace(tzinfo=UTC)))
    for day in (now, now.replace(month=12, day=31), now.replace(year=now.year + 1, month=12, day=31)):
        assert len([period for period in periods if f"{day:%Y/%m/%d}/".startswith(period)]) == 1
    assert len(periods) < 24
