from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from edgecap.polling import Poll

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
