"""A capture is ours or it is not: colleagues, other archives, full lists, late POSTs, held-up lives.

Each is a case that once led to somebody else's capture, or to a second one for one intent.
"""

import dataclasses
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise

import pytest

from edgecap.captures.adoption import ARRIVES_WITHIN
from edgecap.captures.lanes import LAG
from edgecap.captures.queue import Priority
from edgecap.captures.submission import REFUSED_MOST, STALE
from edgecap.errors import RateLimited
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.settings import Timing
from edgecap.simulator.envelope import Refusal
from edgecap.simulator.faults import Fault
from edgecap.simulator.variants import VARIANTS
from tests.edgecap.captures.lane_world import BUCKET, OTHER_BUCKET, LaneWorld, Slot

SIMPLE = SimpleRequest(time_limit=5)
FULL = FullRequest(colo="ORD", time_limit=1)
OTHERS = {"type": "simple", "system": "magic-transit", "time_limit": 7, "packet_limit": 100}
MADE = timedelta(minutes=1).total_seconds()
both = pytest.mark.parametrize("request_", [SIMPLE, FULL], ids=["simple", "full"])


@contextmanager
def a_world(**choices):
    world = LaneWorld(dataclasses.replace(VARIANTS["documented"], **choices))
    try:
        yield world
        world.settle()
    finally:
        world.close()


def killed(world, request, at):
    """A run whose first life was killed there."""
    run = world.decide(request, Priority.MANUAL)
    world.attempt(run).go(at)
    world.attempts[0].die()
    return run


def posts(world):
    return [post for post in world.judge.posts if post.accepted_id]


@pytest.mark.parametrize("differs", [{"destination_conf": OTHER_BUCKET}, {"byte_limit": 77_777}, {}], ids=str)
def test_a_colleague_s_finished_capture_that_looks_alike_is_left_alone(differs):
    with a_world() as world:
        run = world.decide(FULL, Priority.MANUAL)
        world.person({**run.intent.body, "destination_conf": BUCKET, **differs})
        world.advance(40)
        world.attempt(run).go()
        assert run.started
        assert not run.started.adopted
        assert run.started.capture.id not in world.people


@pytest.mark.parametrize("differs", [{"destination_conf": OTHER_BUCKET}, {"byte_limit": 77_777}], ids=str)
def test_a_colleagues_capture_that_ran_since_our_lost_post_is_left_alone(differs):
    """The POST never arrived. What differs is seen, so the run waits for proof and posts again."""
    with a_world() as world:
        run = killed(world, FULL, "before POST")
        world.person({**run.intent.body, "destination_conf": BUCKET, **differs})
        world.advance(40)
        world.attempt(run).go()
        assert not run.started


def test_two_archives_on_one_account_each_take_their_own_capture():
    with a_world() as world:
        first = world.decide(FULL, Priority.MANUAL)
        second = world.decide(FULL, Priority.MANUAL, archive=1)
        world.attempt(first).go()
        world.advance(60)
        world.attempt(second).go()
        assert first.started.capture.id != second.started.capture.id
        assert len(posts(world)) == 2


@both
def test_nothing_is_posted_again_while_a_full_list_hides_the_answer(request_):
    """A full one is for a person to tell; a simple one's window is asked for again, and marked."""
    with a_world() as world:
        run = killed(world, request_, "after POST")
        world.advance(60)
        world.crowd(OTHERS)
        world.attempt(run).go()
        assert len(posts(world)) == 1
        world.advance((ARRIVES_WITHIN + LAG).total_seconds())
        world.attempt(run).go()
        [first] = posts(world)[:1]
        if request_ is FULL:
            assert run.unknown
            assert len(posts(world)) == 1
            assert world.record(run).capture_id == ""
        else:
            record = world.record(run)
            assert record.intent.repeats == run.intent.intent_id
            assert record.capture_id == run.started.capture.id != first.accepted_id
            assert record.intent.request.offset_time != run.intent.request.offset_time
            assert len(posts(world)) == 2


@both
def test_further_pages_of_the_list_are_looked_at_if_there_are_any(request_):
    with a_world(pages=True) as world:
        run = killed(world, request_, "after POST")
        world.advance(60)
        world.crowd(OTHERS, 120)
        world.attempt(run).go()
        assert [post.accepted_id for post in posts(world)] == [run.started.capture.id]


def test_a_full_capture_beyond_the_listed_page_still_holds_its_lane():
    """Its id is known, so it is asked for by that."""
    with a_world() as world:
        first = world.decide(FULL.model_copy(update={"time_limit": 3600}), Priority.MANUAL)
        world.attempt(first).go()
        world.crowd(OTHERS)
        world.advance(600)
        second = world.decide(FULL, Priority.MANUAL)
        world.attempt(second).go()
        assert not second.started
        assert len(world.judge.posts) == 1


@both
def test_a_post_that_arrives_100_seconds_late_is_waited_for(request_):
    with a_world() as world:
        run = world.decide(request_, Priority.MANUAL)
        world.attempt(run).go("before POST")
        world.attempts[0].die("late")
        for _ in range(20):
            world.advance(30)
            if not run.over:
                world.attempt(run).go()
        assert [post.accepted_id for post in posts(world)] == [run.started.capture.id]


@both
def test_a_post_that_never_arrives_is_made_again_once_that_is_proven(request_):
    with a_world() as world:
        run = killed(world, request_, "before POST")
        world.advance((ARRIVES_WITHIN + LAG).total_seconds() - 2)
        world.attempt(run).go()
        assert not run.started
        world.advance(3)
        world.attempt(run).go()
        assert run.started


@both
def test_an_absence_that_is_proven_while_the_lane_is_busy_stays_so(request_):
    """The run waits on for its lane, and by its turn others have filled the list."""
    with a_world() as world:
        run = killed(world, request_, "before POST")
        world.advance((ARRIVES_WITHIN + LAG).total_seconds())
        busy = request_.model_copy(update={"time_limit": 9})
        world.attempt(world.decide(busy, Priority.MANUAL)).go()
        world.attempt(run).go()
        assert not run.over
        world.advance(60)
        world.crowd(OTHERS)
        world.advance(MADE + 5)
        world.attempt(run).go()
        assert run.started
        assert not world.record(run).intent.repeats


@both
def test_a_refused_post_is_made_again_without_waiting_for_proof(request_):
    with a_world() as world:
        run = world.decide(request_, Priority.MANUAL)
        world.edge.faults.add(Fault(kind="rate_limit", method="POST", path="*/pcaps"))
        world.attempt(run).go()
        world.advance(MADE)
        world.attempt(run).go()
        assert run.started


@both
def test_an_unexplained_refusal_is_retried_ever_less_often(request_):
    """As with a quota, or a colleague's capture that the list does not show yet; no longer than an outage."""
    with a_world(throttle=Refusal(429, 10500, "too many captures this day")) as world:
        world.timing = Timing(outage=1500)
        run = world.decide(request_, Priority.MANUAL)
        world.edge.faults.add(Fault(kind="rate_limit", method="POST", path="*/pcaps", count=None))
        times = []
        while not run.trouble and len(times) < 20:
            world.attempt(run).go()
            times += [world.seconds] * (
                sum(answer.refused for answer in world.record(run).answers) - len(times)
            )
            world.advance(world.wait_of(run))
        assert isinstance(run.trouble, RateLimited)
        assert times[-1] - times[0] > 1500
        pauses = [after - before for before, after in pairwise(times)]
        assert pauses == sorted(pauses)
        assert pauses[-1] >= REFUSED_MOST.total_seconds()
        assert len(times) < 20


def test_a_window_in_the_future_after_a_clock_change_is_waited_for():
    with a_world() as world:
        run = world.decide(SIMPLE, Priority.MANUAL)
        world.edge.clock.jump(-600)
        world.attempt(run).go()
        assert not world.judge.posts
        assert 598 < world.wait_of(run) < 602
        world.advance(world.wait_of(run))
        world.attempt(run).go()
        assert run.started


@both
def test_a_process_that_stalls_before_its_post_does_not_make_it(request_):
    """Its lease is over, and another life may have proven by now that nothing came of its POST."""
    with a_world() as world:
        run = world.decide(request_, Priority.MANUAL)
        world.attempt(run).go("before posting")
        world.seconds += STALE + 1
        world.attempts[0].go()
        assert not world.judge.posts
        assert [answer.refused for answer in world.record(run).answers] == [True]
        world.advance(MADE)
        world.attempt(run).go()
        assert run.started


@both
def test_a_process_that_lost_the_lane_to_its_successor_posts_nothing(request_):
    with a_world() as world:
        run = world.decide(request_, Priority.MANUAL)
        first = world.attempt(run)
        first.go("before posting")
        world.slots[run.kind] = Slot()  # its lease was lost, what it remembered too, and it has not noticed
        second = world.attempt(run)
        second.go("after posting")
        first.go()
        assert not world.judge.posts
        second.go()
        assert len(posts(world)) == 1


@both
def test_the_submission_is_recorded_before_the_post_so_a_crash_counts(request_):
    """The list lags, so only what the dead holder left says that its capture may be running."""
    with a_world(list_lag=30.0) as world:
        dead = world.decide(request_, Priority.MANUAL)
        world.attempt(dead).go("after POST")
        world.attempts[0].die("cancelled")
        next_one = world.decide(request_.model_copy(update={"time_limit": 9}), Priority.MANUAL)
        world.attempt(next_one).go()
        assert not next_one.started
        assert len(world.judge.posts) == 1


def test_a_window_that_grew_too_old_in_line_is_not_requested():
    with a_world() as world:
        run = world.decide(SIMPLE, Priority.MANUAL, ago=86_390)
        world.advance(11)
        world.attempt(run).go()
        assert run.too_old
        assert not world.judge.posts
