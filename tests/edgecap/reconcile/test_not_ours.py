"""What is not a dead run's is left alone, or only reported: living runs', other accounts', people's, orphans.

People's own captures are brought in when that is asked for.
"""

import asyncio
import os
import time
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from edgecap.captures.adoption import ARRIVES_WITHIN
from edgecap.captures.body import request_body
from edgecap.cloudflare.models import PAGE
from edgecap.reconcile import Action, Life
from edgecap.requests import SimpleRequest
from tests.edgecap.reconcile.world import FULL, GONE, LONG, QUICK, SPEED, both, kinds


async def test_the_capture_of_a_living_run_is_left_alone(world):
    intent, capture = await world.accepted()
    waiting = world.begin(SimpleRequest(time_limit=6), "waiting")
    world.lives = {intent.intent_id: Life.ALIVE, waiting.intent_id: Life.ALIVE}
    await world.final(capture)
    assert (await world.reconcile(adopt="all")).findings == ()
    assert world.entries() == []


async def test_a_living_run_s_fresh_post_is_not_imported(world):
    """Posted, not yet journalled: with `adopt="all"` it looks like a capture that a person started."""
    intent = world.begin()
    await world.final(await world.post(intent))
    world.lives = {intent.intent_id: Life.ALIVE}
    assert (await world.reconcile(adopt="all")).findings == ()


async def test_a_dead_intent_does_not_take_a_living_one_s_lookalike(world):
    dead, alive = world.begin(FULL, "dead"), world.begin(FULL, "alive")
    world.about_to_post(dead)
    await world.final(await world.post(alive))
    world.lives = {alive.intent_id: Life.ALIVE}
    assert kinds(await world.reconcile()) == [("intent", Action.WAITING)]
    assert world.journal.find(dead.intent_id).capture_id == ""


async def test_a_dead_intent_that_never_posted_takes_no_capture_however_alike(world):
    """A colleague's, of the same place, length and bucket."""
    dead = world.begin(FULL, "dead")
    await world.final(await world.start(dict(dead.body), full=True))
    assert kinds(await world.reconcile()) == [("intent", Action.ENDED)]
    assert world.ending(dead).outcome == "never-accepted"


@pytest.mark.parametrize(("request_", "outcome"), [(None, "failed"), (FULL, None)], ids=["simple", "full"])
async def test_a_capture_that_may_be_a_dead_intent_s_is_reported(world, request_, outcome):
    """The list is full of others' captures. Of a simple one nothing is left to be had after a day."""
    dead = world.begin(request_, "dead")
    world.about_to_post(dead)
    world.edge.simple_spacing = 0
    for _ in range(PAGE):
        world.edge.create(world.settings.account().account_id, request_body(SimpleRequest(time_limit=5)))
    await asyncio.sleep(ARRIVES_WITHIN.total_seconds() / SPEED + 0.2)
    [finding] = (await world.reconcile()).findings
    assert (finding.subject, finding.action) == (dead.intent_id, Action.REPORTED)
    assert f"edgecap resolve {dead.intent_id} --capture ID" in finding.detail
    assert world.ending(dead) is None
    await world.reconcile(limits=replace(QUICK, give_up=timedelta(seconds=1)))
    assert (world.ending(dead) and world.ending(dead).outcome) == outcome


@both
async def test_a_run_of_another_prefect_server_keeps_its_turn(world):
    """It waits for its lane there: given up, it would find its request ended when its turn comes."""
    waiting = world.begin(run="waits at another server")
    world.lives = {waiting.intent_id: Life.UNKNOWN}
    [finding] = (await world.reconcile()).findings
    assert finding.action is Action.WAITING
    assert "this Prefect server does not know its run" in finding.detail
    assert world.ending(waiting) is None
    [finding] = (await world.reconcile(limits=replace(QUICK, give_up=timedelta(0)))).findings
    assert finding.action is Action.ENDED
    assert world.ending(waiting).outcome == "never-accepted"


async def test_a_capture_by_another_prefect_server_s_run_is_brought_in(world):
    lost, capture = await world.accepted(run="of a server that is gone")
    world.lives = {lost.intent_id: Life.UNKNOWN}
    await world.final(capture)
    assert kinds(await world.reconciled()) == [("intent", Action.ARCHIVED)]
    assert world.ending(lost).outcome == "archived"


async def test_intents_of_other_accounts_are_left_alone(world):
    world.begin(account="other")
    assert (await world.reconcile()).findings == ()


@both
async def test_people_s_own_captures_are_brought_in_when_asked(world, object_store):
    elsewhere = object_store.place(object_store.make_bucket(f"else-{uuid.uuid4().hex}"), "")
    simple = await world.start(request_body(SimpleRequest(time_limit=5, offset_time=world.edge.clock.now())))
    full = await world.start(request_body(FULL), full=True)
    for capture in (simple, full):
        await world.final(capture)
    await world.listed()
    assert (await world.reconcile()).findings == ()
    unnamed = world.settings
    world.settings = world.settings.model_copy(update={"buckets": {"default": elsewhere}})
    report = await world.reconcile(adopt="all")
    assert sorted(kinds(report)) == [("capture", Action.ARCHIVED), ("capture", Action.REPORTED)]
    world.settings = unnamed
    report = await world.reconciled(adopt="all")
    assert kinds(report) == [("capture", Action.ARCHIVED)]
    assert {entry.manifest.entry_id for entry in world.entries()} == {simple.id, full.id}
    assert all(entry.manifest.intent is None for entry in world.entries())
    assert list(world.archive.list("intents/")) == []
    assert (await world.reconcile(adopt="all")).findings == ()


async def test_people_s_own_that_still_runs_is_waited_for(world):
    await world.start(request_body(LONG), full=True)
    assert kinds(await world.reconcile(adopt="all")) == [("capture", Action.WAITING)]


async def test_old_files_without_a_manifest_are_reported_and_never_removed(world):
    prefix = f"captures/2026/11/01/2026-11-01T06-34-06Z_full_ORD_{GONE}/"
    world.archive.put(f"{prefix}raw/ord01.pcap", b"x" * 100)
    world.archive.put(f"{prefix}raw/ord02.pcap", b"x" * 23)
    assert (await world.reconcile()).findings == ()
    for path in (world.root / prefix / "raw").iterdir():
        os.utime(path, (time.time() - 90_000,) * 2)
    [finding] = (report := await world.reconcile()).findings
    assert (finding.kind, finding.subject, finding.action) == ("orphan", GONE, Action.REPORTED)
    assert (finding.files, finding.bytes) == (2, 123)
    assert str(report) == "1 for a person to look at"
    assert len(list(world.archive.list(prefix))) == 2
