"""An inbox that cannot be used is said in one line of the error tree, and none is made over what it held."""

import os
import sqlite3
import stat
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from edgecap.errors import ConfigError, Damaged, ObjectMissing, StoreFull, StoreUnwritable
from edgecap.incidents.inbox.alert_inbox import AlertInbox, Outcome
from edgecap.incidents.inbox.database import explain
from edgecap.incidents.inbox.schema import VERSION
from tests.edgecap.incidents.inbox.inbox_parts import NOON, alert, connections, take
from tests.mounting import remount

PAGE = 4096


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alerts" / "book.db"


@pytest.fixture
def used(path):
    """An inbox with a past, closed."""
    with AlertInbox(path) as inbox:
        for n in range(40):
            take(inbox, alert(key=str(n), about=str(n)))
        inbox.keep([("generic", b"x" * 5000, NOON)] * 20)
    return path


def for_ever(step):
    while True:
        step()


def one_line(error, path):
    return "\n" not in str(error.value) and str(path) in str(error.value) and error.value.hint


def test_other_users_cannot_read_the_inbox(path):
    with AlertInbox(path):
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}


def test_a_folder_that_was_there_keeps_its_permissions(path):
    path.parent.mkdir(mode=0o750)
    with AlertInbox(path):
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750


def test_a_second_receiver_is_refused_until_the_first_ends(path):
    with AlertInbox(path), pytest.raises(ConfigError, match="another receiver") as error:
        AlertInbox(path)
    assert one_line(error, path)
    with AlertInbox(path) as inbox:
        assert inbox.pending() == []


def test_reading_a_missing_inbox_fails_and_does_not_make_it(path):
    with pytest.raises(ObjectMissing) as error:
        AlertInbox(path, read_only=True)
    assert str(path) in str(error.value)
    assert not path.parent.exists()


@pytest.mark.parametrize("prepare", [lambda db: None, lambda db: db.execute("PRAGMA journal_mode = WAL")])
def test_a_file_without_tables_becomes_an_inbox(path, prepare):
    path.parent.mkdir()
    path.touch()
    with sqlite3.connect(path) as db:
        prepare(db)
    db.close()
    with AlertInbox(path) as inbox:
        assert inbox.keep([("generic", b"{}", NOON)]) == [1]


@pytest.mark.parametrize("read_only", [False, True])
def test_an_inbox_of_another_version_is_not_changed(used, read_only):
    with sqlite3.connect(used) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    before = used.read_bytes()
    with pytest.raises(
        ConfigError, match=f"has format {VERSION + 1}, and this edgecap reads {VERSION}"
    ) as error:
        AlertInbox(used, read_only=read_only)
    assert one_line(error, used)
    assert used.read_bytes() == before


@pytest.mark.parametrize("read_only", [False, True])
def test_another_programs_database_is_not_changed(path, read_only):
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE cookies (name TEXT)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(Damaged, match="not an inbox of alerts") as error:
        AlertInbox(path, read_only=read_only)
    assert one_line(error, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_of_another_program_is_not_changed(path, read_only):
    path.parent.mkdir()
    path.write_bytes(b"this is a letter to my aunt\n" * 500)
    before = path.read_bytes()
    with pytest.raises(Damaged, match="file is not a database") as error:
        AlertInbox(path, read_only=read_only)
    assert one_line(error, path)
    assert path.read_bytes() == before


def test_a_file_that_was_cut_short_is_found_at_the_start(used):
    os.truncate(used, used.stat().st_size // 2 // PAGE * PAGE)
    with pytest.raises(Damaged, match="the inbox of alerts is damaged") as error:
        AlertInbox(used)
    assert one_line(error, used)


def test_pages_that_were_overwritten_are_found_at_the_start(used):
    """Whichever page, unless nobody can tell: bytes within a body, or a page that is not used."""
    whole = used.read_bytes()
    found = 0
    pages = range(1, len(whole) // PAGE)
    for page in pages:
        used.write_bytes(whole[: page * PAGE] + b"\xa5" * PAGE + whole[(page + 1) * PAGE :])
        try:
            AlertInbox(used).close()
        except Damaged:
            found += 1
    assert found > len(pages) // 2


def test_damage_to_an_open_inbox_is_reported_when_it_is_read(used):
    with connections() as opened, AlertInbox(used) as inbox:
        size = used.stat().st_size
        opened[1].execute("PRAGMA cache_size = 0")
        with used.open("r+b") as file:
            file.seek(PAGE)
            file.write(b"\xa5" * (size - PAGE))
        with pytest.raises(Damaged, match="the inbox of alerts is damaged") as error:
            inbox.incidents()
        assert one_line(error, used)


def test_a_full_disk_fails_only_the_group_that_does_not_fit(small_disk):
    path = small_disk / "book.db"
    with AlertInbox(path) as inbox:
        kept = []
        with pytest.raises(StoreFull, match="no space is left") as error:
            for_ever(lambda: kept.extend(inbox.keep([("generic", bytes(20_000), NOON)] * 3)))
        assert one_line(error, path)
        with pytest.raises(StoreFull):
            for_ever(lambda: take(inbox, alert(raw={"long": "x" * 30_000})))
        with pytest.raises(StoreFull):
            for_ever(inbox.probe)
        assert [each.id for each in inbox.pending(1000)][: len(kept)] == kept
    # What the disk holds is whole; with some room it goes on.
    remount(small_disk, "size=64M")
    with AlertInbox(path) as inbox:
        assert [each.id for each in inbox.pending(1000)][: len(kept)] == kept
        assert take(inbox, alert(key="then", about="there"))


def test_a_full_disk_is_reported_for_a_new_inbox(small_disk):
    with (small_disk / "ballast").open("wb", 0) as file, pytest.raises(OSError, match="No space"):
        for_ever(lambda: file.write(bytes(PAGE)))
    with pytest.raises(StoreFull) as error:
        AlertInbox(small_disk / "book.db")
    assert one_line(error, small_disk)


def test_a_read_only_disk_is_reported_with_or_without_an_inbox(small_disk):
    path = small_disk / "book.db"
    with AlertInbox(path) as inbox:
        inbox.keep([("generic", b"{}", NOON)])
    remount(small_disk, "ro")
    for each in (path, small_disk / "new" / "book.db"):
        with pytest.raises(StoreUnwritable, match="read-only") as error:
            AlertInbox(each)
        assert one_line(error, small_disk)


def test_an_unwritable_file_is_reported(used):
    """Root may write anything: the place of the file is taken by a folder."""
    place = used.with_name("taken.db")
    place.mkdir()
    with pytest.raises(StoreUnwritable) as error:
        AlertInbox(place)
    assert one_line(error, place)


def test_a_file_in_place_of_the_folder_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnwritable, match="a file is where the folder") as error:
        AlertInbox(tmp_path / "file" / "book.db")
    assert one_line(error, tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "expected", "exit_code"),
    [
        ("SQLITE_FULL", "no space is left", 9),
        ("SQLITE_READONLY_DBMOVED", "cannot be written", 9),
        ("SQLITE_CANTOPEN", "cannot be written", 9),
        ("SQLITE_CORRUPT_INDEX", "damaged", 10),
        ("SQLITE_NOTADB", "damaged", 10),
        ("SQLITE_BUSY_SNAPSHOT", "another process holds", 8),
        ("SQLITE_IOERR_FSYNC", "disk I/O error, SQLITE_IOERR_FSYNC", 8),
        ("", "the inbox of alerts: disk I/O error", 8),
    ],
)
def test_every_sqlite_error_maps_to_the_error_tree(path, name, expected, exit_code):
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = name
    told = explain(error, path)
    assert expected in str(told)
    assert told.exit_code == exit_code
    assert str(path) in str(told)
    assert told.hint


def test_a_failed_step_leaves_the_inbox_usable_and_unchanged(path):
    with AlertInbox(path) as inbox:
        (arrival,) = inbox.keep([("generic", b"{}", NOON)])
        with pytest.raises(AttributeError):
            inbox.settle(arrival, [(alert(), None)])
        assert [each.id for each in inbox.pending()] == [arrival]
        assert inbox.alerts() == []
        assert inbox.keep([("generic", b"{}", NOON)]) == [arrival + 1]


# Earlier formats


@pytest.fixture
def first_format(path):
    """An inbox as the first format had it: an open incident, one that is over, and an arrival that waits."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as file:
        file.executescript((Path(__file__).parents[3] / "data" / "inbox-1.sql").read_text())
    return path


def test_an_inbox_of_the_first_format_is_converted(first_format):
    later = NOON + timedelta(minutes=2)
    with AlertInbox(first_format) as inbox:
        over, going_on = inbox.incidents()
        assert (over.closed is None, going_on.closed is None) == (False, True)
        assert [order.event for order in inbox.orders()] == ["start", "end"]
        assert going_on.runs == {"start": "run 1"}
        assert len(inbox.pending()) == 1
        assert take(inbox, alert("end", at=later)) == [Outcome.ENDED]
        assert take(inbox, alert(key="c", about="c", at=later), captures=3, budget=7) == [Outcome.OVER_BUDGET]
        assert len(inbox.orders()[-1].plan.captures) == 2  # three were spent before, and two on the end
    with AlertInbox(first_format) as inbox:
        assert len(inbox.incidents()) == 3


def test_who_only_reads_says_who_converts_it(first_format):
    with pytest.raises(ConfigError, match="start the receiver, which converts it"):
        AlertInbox(first_format, read_only=True)
