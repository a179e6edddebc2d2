"""A sweep gets through everything, whatever fails or happens at once, and says in a line what it did.

Others may reconcile, or still fetch, at the same time: even so there is one entry and one ending.
"""

import asyncio
import logging
import os
import time
import uuid
from functools import partial

from edgecap.archive.journal import Journal
from edgecap.archive.layout import MANIFEST, entry_prefix
from edgecap.archive.verify import verify_entry
from edgecap.captures.fetching import fetch_full
from edgecap.reconcile import Action, Finding, Life, Reconciled
from edgecap.stores import open_store
from edgecap.stores.folder import FolderStore
from tests.edgecap.reconcile.world import FULL, both, kinds, with_faults
from tests.limited import CREATE_ONLY, Root, allow


async def test_temporary_files_go_when_they_are_old(world):
    staging = world.archive.staging()
    (staging / "fetch-dead").mkdir()
    for path in (staging / "fetch-dead" / ".0af1.part", staging / "0af2", staging / "fetch-dead"):
        if not path.exists():
            path.write_bytes(b"x" * 50)
        os.utime(path, (time.time() - 7 * 3600,) * 2)
    (staging / "young").write_bytes(b"x")
    report = await world.reconcile()
    assert str(report) == "2 temp files removed"
    assert report.findings[0].bytes == 100
    assert [path.name for path in staging.iterdir()] == ["young"]


async def test_an_archive_whose_keys_may_only_create_is_no_trouble(world, object_store, caplog):
    """Uploads in parts that were cut off are left to a rule of the bucket; a log says so."""
    caplog.set_level(logging.INFO, "edgecap")
    name = object_store.make_bucket(f"archive-{uuid.uuid4().hex}")
    place = Root(object_store).user(object_store.place(name, "edge"), allow(name, *CREATE_ONLY))
    report = await world.reconcile(archive=open_store(place))
    assert report.findings == ()
    assert "left to the rules of s3://" in caplog.text


async def test_one_failing_intent_does_not_stop_the_others(world):
    good, capture = await world.accepted(run="good")
    await world.final(capture)
    broken = world.begin(run="broken")
    world.journal.accept(broken.intent_id, {"id": "no id of the API's", "submitted": "2026-11-23T06:34:06Z"})
    lost = world.begin(run="lost")
    world.archive.put("intents/unreadable/intent.json", b"garbage")

    async def read_life(intent):
        if intent.intent_id == lost.intent_id:
            raise RuntimeError("the server of runs is down")
        return Life.DEAD

    report = await world.reconcile(read_life=read_life)
    by_subject = {finding.subject: finding for finding in report.findings}
    assert by_subject[good.intent_id].action is Action.ARCHIVED
    assert "is not a valid id" in by_subject[broken.intent_id].detail
    assert "the server of runs is down" in by_subject[lost.intent_id].detail
    assert "unreadable" in by_subject["the journal"].detail
    assert str(report) == "1 finished, 3 in trouble"
    assert world.ending(broken) is None


@with_faults("error,method=GET,path=*/pcaps,value=500")
async def test_without_the_list_nothing_is_decided_and_temporary_files_still_go(world):
    intent, capture = await world.accepted()
    await world.final(capture)
    stale = world.archive.staging() / "stale"
    stale.write_bytes(b"x")
    os.utime(stale, (0, 0))
    report = await world.reconcile()
    assert kinds(report) == [("survey", Action.FAILED), ("temporary", Action.REMOVED)]
    assert world.ending(intent) is None


@both
async def test_two_reconcilers_and_a_late_run_leave_one_entry_and_ending(world):
    intents = []
    for number in range(3):
        intents.append(await world.accepted(run=f"run {number}"))
        await world.final(intents[-1][1])
    full = await world.accepted(FULL, run="full")
    capture = await world.final(full[1])
    prefix = entry_prefix(capture, decided=full[0].decided)
    late = partial(fetch_full, open_store(world.place), capture, world.archive, world.settings.timing)
    one, two, _ = await asyncio.gather(world.reconcile(), world.reconcile(), late(prefix=prefix))
    for report in (one, two):
        assert kinds(report) == [("intent", Action.ARCHIVED)] * 4, [str(found) for found in report.findings]
    assert len(world.entries()) == 4
    for entry in world.entries():
        assert verify_entry(world.archive, entry) == []
    assert list(world.journal.open()) == []


class Overtaken(FolderStore):
    """An archive where another process writes the manifest a moment before."""

    theirs = b""

    def put(self, key, source, *, move=False):
        if key.endswith(MANIFEST):
            super().put(key, self.theirs)
        return super().put(key, source, move=move)


async def test_a_faster_run_with_fewer_files_wins_and_ends_the_intent(world):
    intent, capture = await world.accepted(FULL)
    await world.final(capture)
    await world.reconcile()
    [entry] = world.entries()
    fewer = entry.manifest.model_copy(update={"files": entry.manifest.files[:1]})
    assert len(entry.manifest.files) > 1
    for key in (entry.prefix + MANIFEST, f"intents/{intent.intent_id}/ended.json"):
        world.archive.delete(key)
    store = Overtaken(world.root)
    store.theirs = fewer.model_dump_json().encode()
    assert kinds(await world.reconciled(archive=store)) == [("intent", Action.ARCHIVED)]
    assert world.ending(intent).outcome == "archived"


async def test_an_archive_in_a_bucket_is_reconciled_too(world, object_store):
    store = open_store(object_store.place(object_store.make_bucket(f"archive-{uuid.uuid4().hex}"), "edge"))
    journal = Journal(store)
    intent = journal.begin(world.begin())
    capture = await world.post(intent)
    journal.accept(intent.intent_id, capture.raw)
    await world.final(capture)
    assert kinds(await world.reconciled(archive=store)) == [("intent", Action.ARCHIVED)]
    assert journal.find(intent.intent_id).ended.outcome == "archived"


def test_it_says_what_it_did_in_a_line():
    assert str(Reconciled()) == "nothing was left behind"
    found = [
        Finding("intent", "a", Action.ARCHIVED, "3 packets in 1 file"),
        Finding("intent", "b", Action.ENDED, "failed: no packets"),
        Finding("capture", "c", Action.WAITING, "it is running"),
        Finding("temporary", "file:/a", Action.REMOVED, "14 temp files, 9 bytes", 14, 9),
    ]
    assert str(Reconciled(tuple(found))) == "2 finished, 1 waiting, 14 temp files removed"
    assert str(found[0]) == "intent a: archived: 3 packets in 1 file"
