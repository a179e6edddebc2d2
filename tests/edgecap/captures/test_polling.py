"""When a run looks at its capture again, and when it gives its process back meanwhile."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.captures.polling import Poll
from edgecap.clock import ServerClock

START = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)


class Now:
    """A server's time that tests set."""

    def __init__(self):
        self.at = START

    def __call__(self):
        return self.at


def plan_of(time_limit, margin=600, speed=1.0):
    clock = ServerClock(Now(), speed)
    return Poll(clock, START, time_limit=time_limit, first=1.0, most=15.0, margin=margin)


plans = st.builds(
    plan_of,
    st.one_of(st.just(0), st.integers(1, 5000)),
    margin=st.integers(10, 900),
    speed=st.sampled_from([1.0, 30.0]),
)


def waits(plan):
    """All waits from the start to the deadline, each with the time of the look after it."""
    last = 0.0
    while plan.clock.now() < plan.deadline:
        last = plan.wait(last)
        plan.clock.now.at += plan.clock.there(timedelta(seconds=last))
        yield last, plan.clock.now()


@given(plans)
def test_some_look_falls_within_two_seconds_after_the_time_limit(plan):
    looks = [(at - plan.ends).total_seconds() for _, at in waits(plan)]
    if plan.time_limit:
        assert any(0 <= late <= 2 for late in looks)


@given(plans)
def test_waits_grow_from_the_first_to_the_most(plan):
    found = [wait for wait, _ in waits(plan)]
    assert all(0 < wait <= 15 for wait in found)
    assert len(found) < plan.clock.here(plan.deadline - START).total_seconds() / 15 + 25


def test_a_long_capture_is_looked_at_every_fifteen_seconds():
    found = [round(wait, 2) for wait, _ in waits(plan_of(3600))]
    assert found[:4] == [1, 1.5, 2.25, 3.38]
    assert found[20] == 15


def test_the_waits_of_a_faster_server_are_as_long_here():
    found = [round(wait, 2) for wait, _ in waits(plan_of(3600, speed=30.0))]
    assert found[:4] == [1, 1.5, 2.25, 3.38]
    assert len(found) < (3600 + 600) / 30 / 15 + 15


@given(plans, st.integers(-100, 10_000))
def test_progress_is_never_100_before_the_status_is_final(plan, seconds):
    plan.clock.now.at = START + timedelta(seconds=seconds)
    assert 0 <= plan.progress() < 100


@pytest.mark.parametrize(
    ("age", "time_limit", "progress"),
    [(0, 200, 0), (100, 200, 49.5), (200, 200, 99), (300, 200, 99), (1, 1, 99)],
)
def test_progress_is_the_share_of_the_time_limit(age, time_limit, progress):
    plan = plan_of(time_limit)
    plan.clock.now.at = START + timedelta(seconds=age)
    assert plan.progress() == progress


def test_a_simple_capture_has_no_time_to_show():
    assert plan_of(0).progress() == 50


def test_a_look_just_after_the_end_is_soon_followed_by_another():
    """Half a second after the end a capture has seldom ended: the next look is not a whole wait away."""
    plan = plan_of(60)
    plan.clock.now.at = plan.ends + timedelta(seconds=0.5)
    assert plan.wait(15) == 0.5


def test_waits_grow_anew_from_the_end_of_the_time_limit():
    """A capture of an hour is looked at every 15 s by then, and what follows its end takes seconds."""
    plan = plan_of(3600)
    after = [round(wait, 2) for wait, at in waits(plan) if at >= plan.ends]
    assert after[1:6] == [1, 1.5, 2.25, 3.38, 5.06]


@pytest.mark.parametrize("last", [1.0, 15.0])
def test_the_growth_starts_anew_only_when_the_end_was_just_crossed(last):
    plan = plan_of(60)
    plan.clock.now.at = plan.ends + timedelta(seconds=1)
    assert plan.wait(last) == 1
    plan.clock.now.at += timedelta(seconds=last)
    assert plan.wait(last) == min(15, last * 1.5)


@pytest.mark.parametrize(
    ("age", "time_limit", "pause"),
    [
        (30, 3600, 0),
        (60, 3600, 60),
        (300, 3600, 300),
        (900, 3600, 600),
        (3500, 3600, 101),
        (3550, 3600, 0),
        (0, 0, 0),
    ],
)
@pytest.mark.parametrize("speed", [1.0, 30.0])
def test_a_long_capture_is_watched_at_both_ends(age, time_limit, pause, speed):
    """In between it is left alone for ever longer."""
    plan = plan_of(time_limit, speed=speed)
    plan.clock.now.at = START + timedelta(seconds=age)
    assert plan.pause() == pytest.approx(pause / speed)
