"""How many alerts joined or repeated an incident, read on a machine without the receiver's inbox."""

import logging
from datetime import timedelta

import pytest

from deployments.receiver.held_back import IDLE, SPACING, HeldBackWriter
from edgecap.errors import StoreUnreachable
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.overview import Overviews
from edgecap.incidents.record import HeldBack
from edgecap.stores.folder import FolderStore
from tasks.incident import close
from tests.edgecap.incidents.inbox.inbox_parts import NOON, alert, take
from tests.edgecap.incidents.test_record import noted

MINUTE = timedelta(minutes=1)


class Clock:
    now = NOON
    seconds = 0.0

    def __call__(self):
        return self.now

    def ticks(self):
        return self.seconds

    def go(self, pause):
        self.now += pause
        self.seconds += pause.total_seconds()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path):
    (tmp_path / "archive").mkdir()
    return FolderStore(tmp_path / "archive")


@pytest.fixture
def make(inbox, store, clock):
    return lambda: HeldBackWriter(inbox, lambda: Incidents(store), clock=clock, ticks=clock.ticks)


def objects(store):
    return [info.key for info in store.list("incidents/")]


def seen(store, inbox):
    """What another machine finds."""
    return Overviews(store, None).read(inbox.incidents()[0].id).held_back


def test_another_machine_reads_the_counts_from_the_archive(make, inbox, store, clock):
    writer = make()
    take(inbox, alert(), alert(identity="2"), alert())
    writer.step()
    assert seen(store, inbox) == HeldBack(joined=1, repeated=1)
    take(inbox, alert(), alert(identity="3"), alert("end"))
    clock.go(timedelta(seconds=SPACING))
    writer.step()
    assert seen(store, inbox) == HeldBack(joined=2, repeated=2)


async def test_an_incident_closes_with_counts_from_the_archive(store, tmp_path, monkeypatch):
    """The flow runs on a worker's machine. Its state folder has no inbox."""
    monkeypatch.setenv("EDGECAP_HOME", str(tmp_path / "home-of-the-worker"))
    monkeypatch.setenv("EDGECAP_ARCHIVES__DEFAULT__URI", f"file:{tmp_path / 'archive'}")
    Incidents(store).count(noted().incident, HeldBack(joined=3, repeated=11))
    record, is_ours = await close.fn(noted(), [], "default")
    assert is_ours
    assert record.held_back == HeldBack(joined=3, repeated=11)


def test_counts_of_an_open_incident_are_written_ever_more_rarely(make, inbox, store, clock):
    """The archive keeps every object for good, and some products repeat an alert every minute for a day."""
    writer = make()
    take(inbox, alert())
    for _ in range(23 * 60):
        clock.go(MINUTE)
        take(inbox, alert(at=clock.now))
        writer.step()
    assert len(objects(store)) < 40
    take(inbox, alert("end", at=clock.now))
    writer.step()
    clock.go(timedelta(seconds=SPACING))
    writer.step()
    assert seen(store, inbox) == HeldBack(repeated=23 * 60)


def test_a_restart_writes_the_same_and_changes_nothing(make, inbox, store, clock):
    take(inbox, alert(), alert())
    make().step()
    before = objects(store)
    make().step()
    assert objects(store) == before
    assert seen(store, inbox) == HeldBack(repeated=1)


def test_an_incident_that_is_silent_for_days_is_left_alone(make, inbox, store, clock):
    take(inbox, alert(), alert())
    clock.go(timedelta(days=3))
    make().step()
    assert objects(store) == []


def test_an_unreachable_archive_is_reported_once_and_retried(inbox, store, clock, caplog, tmp_path):
    class Away(FolderStore):
        away = True

        def put(self, *given, **more):
            if self.away:
                raise StoreUnreachable("no answer")
            return super().put(*given, **more)

    away = Away(tmp_path / "archive")
    writer = HeldBackWriter(inbox, lambda: Incidents(away), clock=clock, ticks=clock.ticks)
    take(inbox, alert(), alert())
    with caplog.at_level(logging.WARNING, "edgecap.receiver"):
        for _ in range(3):
            assert writer.step() == IDLE
            clock.go(timedelta(seconds=IDLE))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    away.away = False
    writer.step()
    assert seen(store, inbox) == HeldBack(repeated=1)
