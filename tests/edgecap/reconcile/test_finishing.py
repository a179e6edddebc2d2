"""What runs left behind is finished, wherever they stopped: before the POST, in the wait, before the end.

A capture is fetched and archived, stopped, waited for or given up, and its intent ends as what became of it.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.archive.journal_records import Ended
from edgecap.archive.layout import FLOWS, MANIFEST, PACKETS, SUMMARY, entry_prefix
from edgecap.archive.verify import verify_entry
from edgecap.captures.body import request_body
from edgecap.captures.delivery import matching
from edgecap.captures.fetching import fetch_full, fetch_simple
from edgecap.reconcile import Action, Life, Limits
from edgecap.reconcile.importer import Importer
from edgecap.requests import Filter, FullRequest, SimpleRequest
from edgecap.simulator.variants import VARIANTS
from edgecap.stores import open_store
from tests.edgecap.reconcile.world import FULL, GONE, LONG, QUICK, both, kinds, with_faults


@both
@pytest.mark.parametrize("request_", [None, FULL], ids=["simple", "full"])
async def test_a_capture_whose_run_died_is_fetched_and_archived(world, request_):
    intent, capture = await world.accepted(request_)
    await world.final(capture)
    report = await world.reconciled()
    assert kinds(report) == [("intent", Action.ARCHIVED)]
    [entry] = world.entries()
    assert entry.manifest.entry_id == capture.id
    assert entry.manifest.intent["intent_id"] == intent.intent_id
    assert entry.manifest.totals.packets > 0
    assert verify_entry(world.archive, entry) == []
    ended = world.ending(intent)
    assert (ended.outcome, ended.entry) == ("archived", entry.prefix)
    assert str(report) == "1 finished"
    assert kinds(await world.reconcile(adopt="all")) == []


async def test_delivered_files_that_a_dead_run_left_are_deleted(world):
    """It died after its entry was committed, so that its intent is still open."""
    intent, capture = await world.accepted(FULL)
    capture = await world.final(capture)
    world.settings.buckets["default"].delete_delivered = True
    async with world.client() as client:
        await Importer(client, world.archive, world.settings).bring(capture, world.place, intent=intent)
    bucket = open_store(world.place)
    assert len(matching(bucket, capture.id)) > 1
    [finding] = (await world.reconcile()).findings
    assert finding.action is Action.ARCHIVED
    assert "delivered files deleted from the bucket" in finding.detail
    assert matching(bucket, capture.id) == []
    [entry] = world.entries()
    assert verify_entry(world.archive, entry) == []


@both
@pytest.mark.parametrize("request_", [None, FULL], ids=["simple", "full"])
async def test_a_capture_whose_id_was_never_journalled_is_adopted(world, request_):
    intent = world.begin(request_)
    capture = await world.post(intent)
    await world.final(capture)
    await world.listed()
    report = await world.reconciled()
    assert kinds(report) == [("intent", Action.ARCHIVED)], report
    assert world.journal.find(intent.intent_id).capture_id == capture.id
    assert world.ending(intent).outcome == "archived"
    assert len(world.posts()) == 1


@pytest.mark.parametrize("world", [(replace(VARIANTS["lagging"], list_lag=120.0), ())], indirect=True)
async def test_a_capture_that_the_list_shows_late_is_waited_for(world):
    """Two seconds of this machine late."""
    intent = world.begin()
    capture = await world.post(intent)
    limits = Limits(list_lag=timedelta(minutes=5), second_look=timedelta(seconds=0.3))
    assert kinds(await world.reconcile(limits=limits)) == [("intent", Action.WAITING)]
    await world.listed()
    report = await world.reconciled(limits=limits)
    assert kinds(report) == [("intent", Action.ARCHIVED)]
    assert world.journal.find(intent.intent_id).capture_id == capture.id
    assert world.ending(intent).outcome == "archived"


@both
async def test_an_intent_that_was_never_posted_ends_when_two_looks_show_nothing(world):
    intent = world.begin()
    assert kinds(await world.reconcile()) == [("intent", Action.ENDED)]
    assert world.ending(intent).outcome == "never-accepted"
    assert world.posts() == []


async def test_a_young_intent_that_the_list_does_not_show_stays_open(world):
    intent = world.begin()
    assert kinds(await world.reconcile(limits=Limits())) == [("intent", Action.WAITING)]
    assert world.ending(intent) is None


@both
async def test_a_cancelled_full_capture_is_stopped_and_its_files_kept(world):
    intent, capture = await world.accepted(LONG)
    world.lives = {intent.intent_id: Life.CANCELLED}
    await world.running(capture)
    first = await world.reconcile()
    assert kinds(first) == [("intent", Action.WAITING)]
    assert "was asked to stop" in first.findings[0].detail
    await world.final(capture)
    second = await world.reconciled()
    assert kinds(second) == [("intent", Action.ARCHIVED)]
    [entry] = world.entries()
    assert "stopped" in entry.manifest.flags
    assert entry.manifest.totals.packets > 0
    ended = world.ending(intent)
    assert (ended.outcome, ended.entry) == ("cancelled", entry.prefix)
    assert len(world.edge.log.events("stop")) == 1


def stop_keeps(what):
    return (replace(VARIANTS["documented"], stop_keeps=what), ())


async def stopped_run(world):
    """A cancelled run's capture, stopped and over."""
    intent, capture = await world.accepted(LONG)
    world.lives = {intent.intent_id: Life.CANCELLED}
    await world.running(capture)
    await world.reconcile()
    capture = await world.until(capture, lambda now: now.is_final)
    return intent, capture


@pytest.mark.parametrize("world", [stop_keeps("some")], indirect=True)
async def test_a_stop_that_loses_files_leaves_an_entry_that_says_so(world):
    world.settings.timing.delivery = 5  # a file never comes
    intent, _ = await stopped_run(world)
    while kinds(await world.reconcile()) == [("intent", Action.WAITING)]:  # noqa: ASYNC110 - the bucket tells
        await asyncio.sleep(0.2)
    [entry] = world.entries()
    assert {"stopped", "partial"} <= set(entry.manifest.flags)
    assert entry.manifest.totals.packets > 0
    assert world.ending(intent).outcome == "cancelled"


@with_faults("missing_file,path=ord01-s2/*")
async def test_a_capture_that_reached_its_limit_early_is_given_up_early(world, monkeypatch):
    """A file of it is missing, and all other captures wait until it is given up."""
    world.settings.timing.delivery = 5  # it never comes
    waits = []

    def waiting(bucket, capture, archive, timing, **more):
        waits.append(timing.delivery)
        return fetch_full(bucket, capture, archive, timing, **more)

    monkeypatch.setattr("edgecap.reconcile.importer.fetch_full", waiting)
    intent, capture = await world.accepted(FullRequest(colo="ORD", time_limit=86_400, byte_limit=500_000))
    await world.final(capture)
    assert kinds(await world.reconciled()) == [("intent", Action.ARCHIVED)]
    assert world.ending(intent).outcome == "archived"
    [entry] = world.entries()
    assert "partial" in entry.manifest.flags
    assert max(waits) <= world.settings.timing.delivery


@pytest.mark.parametrize("world", [stop_keeps("nothing")], indirect=True)
async def test_a_stop_that_loses_all_files_ends_as_such_after_a_while(world):
    intent, capture = await stopped_run(world)
    assert kinds(await world.reconcile()) == [("intent", Action.WAITING)]
    assert world.ending(intent) is None
    report = await world.reconcile(limits=replace(QUICK, stopped_files=timedelta(0)))
    assert kinds(report) == [("intent", Action.ENDED)]
    ended = world.ending(intent)
    assert ended.outcome == "cancelled"
    assert ended.reason == f"capture {capture.id} was stopped, and no file of it came into the bucket since"
    # The list shows it for days, and everybody knows by now that there is nothing to wait for.
    assert (await world.reconcile()).findings == ()


@pytest.mark.parametrize("world", [stop_keeps("failed")], indirect=True)
async def test_a_stop_that_fails_the_capture_ends_with_cloudflare_s_reason(world):
    intent, _ = await stopped_run(world)
    assert kinds(await world.reconcile()) == [("intent", Action.ENDED)]
    assert "stopped before its data was saved" in world.ending(intent).reason


async def test_a_stop_that_is_waited_for_ends_at_once(world):
    intent, capture = await world.accepted(LONG)
    world.lives = {intent.intent_id: Life.CANCELLED}
    await world.running(capture)
    limits = Limits(stop_wait=timedelta(seconds=20))
    report = await world.reconcile(limits=limits)
    if kinds(report) == [("intent", Action.WAITING)]:  # stopped, and its files are on their way
        await world.final(capture)
        report = await world.reconciled(limits=limits)
    assert kinds(report) == [("intent", Action.ARCHIVED)]
    assert world.ending(intent).outcome == "cancelled"


async def test_a_running_capture_of_a_dead_run_is_left_to_run(world):
    intent, _ = await world.accepted(LONG)
    assert kinds(await world.reconcile()) == [("intent", Action.WAITING)]
    assert world.edge.log.events("stop") == []
    assert world.ending(intent) is None


@with_faults(variant="lagging")
async def test_a_failed_capture_ends_with_cloudflare_s_reason(world):
    nothing = SimpleRequest(time_limit=5, filter=Filter(protocol=132))
    intent, capture = await world.accepted(nothing)
    reason = (await world.final(capture)).error_message
    assert kinds(await world.reconcile()) == [("intent", Action.ENDED)]
    ended = world.ending(intent)
    assert (ended.outcome, ended.error) == ("failed", "CaptureFailed")
    assert reason
    assert reason in ended.reason


async def test_packets_that_cannot_be_had_are_waited_for_and_then_given_up(world):
    intent, capture = await world.accepted(FULL)
    await world.final(capture)
    bucket = open_store(world.place)
    for info in list(bucket.list()):
        bucket.delete(info.key)
    first = await world.reconcile()
    assert kinds(first) == [("intent", Action.WAITING)]
    assert "no file of capture" in first.findings[0].detail
    assert world.ending(intent) is None
    limits = Limits(give_up=timedelta(seconds=-1))
    assert kinds(await world.reconcile(limits=limits)) == [("intent", Action.ENDED)]
    ended = world.ending(intent)
    assert (ended.outcome, ended.error) == ("failed", "DeadlinePassed")


async def test_packets_that_arrive_after_they_were_given_up_are_brought_in(world):
    intent, capture = await world.accepted(FULL)
    await world.final(capture)
    said = Ended(outcome="failed", reason="no files", error="DeadlinePassed", at=datetime.now(UTC))
    world.journal.end(intent.intent_id, said)
    assert kinds(await world.reconciled()) == [("capture", Action.ARCHIVED)]
    [entry] = world.entries()
    assert entry.manifest.intent["intent_id"] == intent.intent_id
    assert world.ending(intent) == said
    assert (await world.reconcile()).findings == ()


async def test_a_removed_entry_is_not_brought_back(world):
    intent, capture = await world.accepted()
    await world.final(capture)
    await world.reconcile()
    [entry] = world.entries()
    for info in list(world.archive.list(entry.prefix)):
        world.archive.delete(info.key)
    assert (await world.reconcile(adopt="all")).findings == ()
    assert world.ending(intent).outcome == "archived"


@both
@pytest.mark.parametrize("request_", [None, FULL], ids=["simple", "full"])
async def test_a_run_that_died_between_fetching_and_its_manifest(world, request_):
    intent, capture = await world.accepted(request_)
    capture = await world.final(capture)
    prefix = entry_prefix(capture, decided=intent.decided)
    async with world.client() as client:
        if request_:
            bucket = open_store(world.place)
            await fetch_full(bucket, capture, world.archive, world.settings.timing, prefix=prefix)
        else:
            await fetch_simple(client, capture, world.archive, prefix=prefix)
    before = [info.key for info in world.archive.list(prefix)]
    assert before
    assert kinds(await world.reconciled()) == [("intent", Action.ARCHIVED)]
    made = [prefix + name for name in (MANIFEST, PACKETS, FLOWS, SUMMARY)]
    assert [info.key for info in world.archive.list(prefix)] == sorted([*before, *made])


async def test_a_run_that_died_after_its_manifest_needs_no_api(world):
    intent, capture = await world.accepted()
    await world.final(capture)
    await world.reconcile()
    world.archive.delete(f"intents/{intent.intent_id}/ended.json")
    calls = len(world.edge.log.events("request"))
    assert kinds(await world.reconciled()) == [("intent", Action.ARCHIVED)]
    assert world.ending(intent).outcome == "archived"
    assert len(world.edge.log.events("request")) == calls + 1  # the list


async def test_a_capture_that_the_api_forgot_ends_as_failed(world):
    intent = world.begin()
    world.journal.accept(intent.intent_id, {"id": GONE, "type": "simple"})
    assert kinds(await world.reconcile(limits=Limits())) == [("intent", Action.WAITING)]
    assert kinds(await world.reconcile()) == [("intent", Action.ENDED)]
    assert (world.ending(intent).outcome, world.ending(intent).error) == ("failed", "UnknownToApi")


async def test_a_full_capture_that_the_api_forgot_is_archived_from_its_bucket(world):
    """Its files are those of another capture, under its own id."""
    other = await world.final(await world.start(request_body(FULL), full=True))
    bucket = open_store(world.place)
    for info in list(bucket.list()):
        if other.id in info.key:
            with bucket.open(info.key) as reader:
                bucket.put(info.key.replace(other.id, GONE), b"".join(reader))
    intent = world.begin(FULL)
    world.journal.accept(intent.intent_id, {**other.raw, "id": GONE, "status": "pending"})
    assert kinds(await world.reconciled()) == [("intent", Action.ARCHIVED)]
    [entry] = world.entries()
    assert entry.manifest.entry_id == GONE
    assert entry.manifest.totals.packets > 0
    assert verify_entry(world.archive, entry) == []
