from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.captures.polling import Poll

START = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
plans = st.builds(
    Poll,
    submitted=st.just(START),
    time_limit=st.one_of(st.just(0), st.integers(1, 5000)),
    first=st.just(1.0),
    most=st.just(15.0),
    margin=st.integers(10, 900),
)


@given(plans)
def test_some_look_falls_within_two_seconds_after_the_time_limit(plan):
    now, looks = START, []
    for wait in plan.waits(START):
        now += timedelta(seconds=wait)
        looks.append((now - plan.ends).total_seconds())
    if plan.time_limit:
        assert any(0 <= late <= 2 for late in looks)


@given(plans)
def test_waits_grow_from_the_first_to_the_most_and_reach_the_deadline(plan):
    waits = list(plan.waits(START))
    assert all(0 < wait <= 15 for wait in waits)
    assert START + timedelta(seconds=sum(waits)) >= plan.deadline
    assert START + timedelta(seconds=sum(waits[:-1])) < plan.deadline


def test_a_long_capture_is_looked_at_every_fifteen_seconds():
    plan = Poll(START, time_limit=3600, first=1, most=15, margin=60)
    waits = list(plan.waits(START))
    assert [round(w, 2) for w in waits[:4]] == [1, 1.5, 2.25, 3.38]
    assert len(waits) < 3660 / 15 + 15


@given(plans, st.integers(-100, 10_000))
def test_progress_is_never_100_before_the_status_is_final(plan, seconds):
    assert 0 <= plan.progress(START + timedelta(seconds=seconds)) < 100


@pytest.mark.parametrize(
    ("age", "time_limit", "progress"),
    [(0, 200, 0), (100, 200, 49.5), (200, 200, 99), (300, 200, 99), (1, 1, 99)],
)
def test_progress_is_the_share_of_the_time_limit(age, time_limit, progress):
    plan = Poll(START, time_limit=time_limit, first=1, most=15, margin=60)
    assert plan.progress(START + timedelta(seconds=age)) == progress


def test_a_simple_capture_has_no_time_to_show():
    assert Poll(START, time_limit=0, first=1, most=15, margin=60).progress(START) == 50


def test_a_look_just_after_the_end_is_soon_followed_by_another():
    """Half a second after the end a capture has seldom ended: the next look is not a whole wait away."""
    plan = Poll(START, time_limit=60, first=1, most=15, margin=600)
    assert plan.wait(15, plan.ends + timedelta(seconds=0.5)) == 0.5


def test_waits_grow_anew_from_the_end_of_the_time_limit():
    """A capture of an hour is looked at every 15 s by then, and what follows its end takes seconds."""
    plan = Poll(START, time_limit=3600, first=1, most=15, margin=60)
    now, after = START, []
    for wait in plan.waits(START):
        now += timedelta(seconds=wait)
        if now >= plan.ends:
            after.append(round(wait, 2))
    assert after[1:6] == [1, 1.5, 2.25, 3.38, 5.06]


@pytest.mark.parametrize("last", [1.0, 15.0])
def test_the_growth_starts_anew_only_when_the_end_was_crossed_just_now(last):
    plan = Poll(START, time_limit=60, first=1, most=15, margin=600)
    assert plan.wait(last, plan.ends + timedelta(seconds=1)) == 1
    assert plan.wait(last, plan.ends + timedelta(seconds=1 + last)) == min(15, last * 1.5)


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
def test_a_long_capture_is_looked_at_often_only_at_both_ends(age, time_limit, pause):
    plan = Poll(START, time_limit=time_limit, first=1, most=15, margin=600)
    assert plan.pause(START + timedelta(seconds=age)) == pause
