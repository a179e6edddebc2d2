from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from edgecap.report.charts.scales import broken, values, whole

START = datetime(2026, 11, 23, 6, 34, 6, tzinfo=UTC)
moments = st.integers(0, 14 * 86_400).map(lambda seconds: START + timedelta(seconds=seconds))


@given(st.integers(1, 40 * 86_400_000), st.integers(20, 200))
def test_marks_are_in_order_inside_and_far_enough_apart(milliseconds, apart):
    scale = whole(START, START + timedelta(milliseconds=milliseconds), 40, 1000)
    ticks = scale.ticks(apart)
    assert ticks
    assert all(40 <= tick.at <= 1000.01 for tick in ticks)
    assert all(other.at - one.at >= apart for one, other in pairwise(ticks))


def test_marks_are_at_round_times():
    labels = [tick.label for tick in whole(START, START + timedelta(minutes=1), 0, 1000).ticks(70)]
    assert labels[:3] == ["06:34:10", "06:34:15", "06:34:20"]
    fine = whole(START, START + timedelta(milliseconds=10), 0, 1000).ticks(90)
    assert [tick.label for tick in fine][:3] == ["06:34:06", "06:34:06.001", "06:34:06.002"]


def test_hours_between_two_captures_take_no_room():
    later = START + timedelta(hours=5)
    spans = [(START, START + timedelta(minutes=1)), (later, later + timedelta(minutes=1))]
    scale = broken(spans, 0, 1000)
    (gap,) = scale.gaps
    assert 5 * 3600 - 130 < gap.seconds < 5 * 3600
    assert scale.x(START + timedelta(minutes=1)) - scale.x(START) > 400
    assert scale.x(later + timedelta(minutes=1)) - scale.x(later) > 400


def test_captures_close_to_each_other_are_on_one_line():
    spans = [(START, START + timedelta(minutes=5)), (START + timedelta(minutes=5, seconds=20),) * 2]
    assert not broken(spans, 0, 1000).gaps


@given(st.lists(st.tuples(moments, st.integers(0, 86_400)), min_size=1, max_size=12), moments, moments)
def test_later_is_never_further_left_and_all_is_inside(spans, one, other):
    scale = broken([(at, at + timedelta(seconds=long)) for at, long in spans], 90, 900)
    earlier, later = sorted((one, other))
    assert scale.x(earlier) <= scale.x(later) + 1e-6
    assert all(89.99 <= scale.x(at) <= 900.01 for at, _ in spans)
    assert abs(scale.stretches[-1].right - 900) < 0.01


@given(st.floats(1e-6, 1e15), st.integers(2, 8))
def test_an_axis_reaches_to_the_most_and_not_much_further(most, marks):
    found = values(most, marks)
    assume(len(found) > 2)
    assert found[0] == 0
    assert len(found) - 1 <= marks
    assert found[-2] < most <= found[-1] * (1 + 1e-9)


def test_an_axis_of_nothing():
    assert values(0, 4) == [0.0, 1.0]
    assert values(103_000, 5) == [0, 25_000, 50_000, 75_000, 100_000, 125_000]
