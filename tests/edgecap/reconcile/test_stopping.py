"""Stopping an intent's capture, judged by a simulated edge's log: at each step, and in spite of trouble."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edgecap.archive.journal_records import Ended
from edgecap.captures.stopping import (
    Stopped,
    Stopping,
    stop_capture,
    stop_intent,
    stop_unless_asked,
    stop_within,
)
from edgecap.errors import NotStopped, ServerFailure
from edgecap.requests import FullRequest
from edgecap.simulator.variants import VARIANTS
from tests.edgecap.reconcile.world import FULL, both, with_faults

LONG = FullRequest(colo="ORD", time_limit=86_000)  # at the edge's pace longer than any test
LOST = "reset,method=PUT,path=*/stop,after=true"
ALWAYS = "error,method=PUT,path=*/stop,count=always,value=503,after=false"


async def stop(world, intent):
    async with world.client() as client:
        return await stop_intent(client, world.journal, intent.intent_id)


@both
async def test_a_capture_that_the_journal_knows_is_stopped(world):
    intent, capture = await world.accepted(LONG)
    assert await stop(world, intent) == Stopped(Stopping.ASKED, capture.id)
    assert world.stops() == [capture.id]
    assert (await stop(world, intent)).outcome in (Stopping.ASKED, Stopping.OVER)
    assert world.stops() == [capture.id]


@both
async def test_an_accepted_capture_missing_from_the_journal_is_found_and_stopped(world):
    intent = world.begin(LONG)
    capture = await world.post(intent)
    async with world.client() as client:
        stopped = await stop_within(60, lambda: stop_intent(client, world.journal, intent.intent_id))
    assert stopped == Stopped(Stopping.ASKED, capture.id)
    assert world.stops() == [capture.id]


async def test_a_post_that_arrives_while_it_is_looked_for_is_stopped(world):
    intent = world.begin(LONG)
    looks = 0

    async def attempt():
        nonlocal looks
        looks += 1
        if looks == 2:
            await world.post(intent)
        return await stop(world, intent)

    stopped = await stop_within(60, attempt, settled=lambda: looks > 1)
    assert stopped.outcome is Stopping.ASKED
    assert world.stops() == [stopped.capture_id]


async def test_a_capture_of_another_intent_is_left_alone(world):
    _, other = await world.accepted(LONG, run="other")
    mine = world.begin(LONG, run="mine")
    assert (await stop(world, mine)).outcome is Stopping.NOTHING  # it never posted
    world.about_to_post(mine)
    assert (await stop(world, mine)).outcome is Stopping.UNSEEN
    assert world.stops() == []
    async with world.client() as client:
        assert not (await client.get_capture(other.id)).stop_requested


async def test_a_capture_that_may_be_another_intents_is_left_alone(world):
    """The same was asked for again: its run may have been accepted just now, and not have journalled it."""
    mine, again = world.begin(LONG, run="mine"), world.begin(LONG, run="again")
    world.about_to_post(mine)
    await world.post(again)
    assert (await stop(world, mine)).outcome is Stopping.UNSEEN
    assert world.stops() == []


async def test_captures_never_posted_or_over_get_no_stop(world):
    simple, _ = await world.accepted()
    assert (await stop(world, simple)).outcome is Stopping.NOTHING
    given_up = world.begin(LONG, run="given up")
    said = Ended(outcome="never-accepted", reason="refused", at=datetime.now(UTC))
    world.journal.end(given_up.intent_id, said)
    assert (await stop(world, given_up)).outcome is Stopping.NOTHING
    done, capture = await world.accepted(FULL, run="done")
    await world.final(capture)
    assert await stop(world, done) == Stopped(Stopping.OVER, capture.id)
    assert world.stops() == []


@with_faults(LOST)
async def test_a_stop_whose_answer_is_lost_counts_as_asked(world):
    intent, capture = await world.accepted(LONG)
    await world.running(capture)
    assert await stop(world, intent) == Stopped(Stopping.ASKED, capture.id)


@pytest.mark.parametrize(
    "world",
    [(replace(VARIANTS["documented"], stop_takes=600.0), ("error,method=PUT,value=503",))],
    indirect=True,
)
async def test_a_stop_that_is_refused_for_a_while_is_asked_for_again(world):
    intent, capture = await world.accepted(LONG)
    await world.running(capture)
    assert (await stop_within(60, lambda: stop(world, intent))).outcome is Stopping.ASKED
    assert world.stops() == [capture.id]


@with_faults(ALWAYS)
async def test_a_failed_stop_is_reported(world):
    intent, capture = await world.accepted(LONG)
    await world.running(capture)
    clock = [0.0]

    async def attempt():
        try:
            return await stop(world, intent)
        finally:
            clock[0] += 240  # so it was the last one, however long it took a busy machine

    with pytest.raises(NotStopped, match=f"does not stop capture {capture.id}, which is running"):
        await stop_within(240, attempt, clock=lambda: clock[0])


async def test_no_attempt_takes_longer_than_all_of_them_may():
    async def hang():
        await asyncio.sleep(3600)

    with pytest.raises(NotStopped, match="no answer within"):
        await stop_within(1, hang)


async def test_nothing_is_final_only_once_nothing_more_is_posted():
    clock, looks = [0.0], [0]

    async def sleep(seconds):
        clock[0] += seconds

    async def attempt():
        looks[0] += 1
        return Stopped(Stopping.NOTHING)

    timing = {"sleep": sleep, "clock": lambda: clock[0]}
    assert (await stop_within(30, attempt, settled=lambda: clock[0] >= 5, **timing)).outcome == "nothing"
    assert clock[0] == 5

    async def unseen():
        return Stopped(Stopping.UNSEEN)

    clock[0] = 0.0
    stopped = await stop_within(30, unseen, settled=lambda: clock[0] >= 5, unseen_for=4, **timing)
    assert (stopped.outcome, clock[0]) == (Stopping.UNSEEN, 9)


async def test_trouble_of_the_last_attempt_is_the_reason():
    async def attempt():
        raise ServerFailure("the API answers 503", where="PUT /stop")

    with pytest.raises(NotStopped, match="could not be stopped: the API answers 503"):
        await stop_within(0.5, attempt)


async def test_an_unanswered_last_attempt_does_not_hide_the_earlier_answer():
    clock, attempts = [0.0], []

    async def sleep(_seconds):
        clock[0] = 9.5  # of ten

    async def attempt():
        attempts.append(1)
        if len(attempts) == 1:
            raise NotStopped("Cloudflare does not stop capture c, which is running")
        await asyncio.sleep(3600)

    with pytest.raises(NotStopped, match="which is running"):
        await stop_within(10, attempt, sleep=sleep, clock=lambda: clock[0])
    assert len(attempts) == 2


async def test_a_capture_is_asked_to_stop_once(world):
    _, capture = await world.accepted(LONG)
    await world.running(capture)
    async with world.client() as client:
        outcomes = [(await stop_unless_asked(client, capture.id)).outcome for _ in range(3)]
    assert outcomes[0] is Stopping.ASKED
    assert len([event for event in world.edge.log.events("request") if event["method"] == "PUT"]) == 1


async def test_stopping_a_capture_that_the_api_does_not_know_says_so(world):
    async with world.client() as client:
        with pytest.raises(Exception, match="not found"):
            await stop_capture(client, "f" * 32)
