"""Which run goes next: by priority, then by age, and none starves."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from edgecap.captures.queue import GRACE, Priority, Waiter, in_order, place_of

NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
PATIENCE = timedelta(minutes=30)
MINUTE = timedelta(minutes=1)


def waiter(name, priority=Priority.SCHEDULE, waited=0.0, wakes=0.0):
    since, wakes_at = NOW - timedelta(seconds=waited), NOW + timedelta(seconds=wakes)
    return Waiter(name, priority, since, wakes_at)


def names(waiters, **more):
    return [w.name for w in in_order(waiters, now=NOW, patience=PATIENCE, **more)]


lines = st.lists(
    st.builds(
        waiter,
        name=st.uuids().map(str),
        priority=st.sampled_from(Priority),
        waited=st.floats(0, 7200),
        wakes=st.floats(-60, 600),
    ),
    unique_by=lambda w: w.name,
    max_size=30,
)


def test_alerts_go_before_people_and_people_before_schedules():
    line = [waiter("s", waited=100), waiter("m", Priority.MANUAL, 50), waiter("a", Priority.ALERT)]
    assert names(line) == ["a", "m", "s"]


def test_among_equals_the_longest_waiting_run_goes_first():
    assert names([waiter("b", waited=1), waiter("a", waited=2), waiter("c")]) == ["a", "b", "c"]


def test_an_urgent_run_alternates_with_higher_priority_ones():
    old = [waiter(f"s{n}", waited=3600 - n) for n in range(2)]
    alerts = [waiter(f"a{n}", Priority.ALERT, 10 - n) for n in range(3)]
    assert names([*alerts, *old]) == ["s0", "a0", "s1", "a1", "a2"]
    assert names([*alerts, *old], urgent_went=True) == ["a0", "s0", "a1", "s1", "a2"]


def test_a_run_that_went_by_age_does_not_also_go_by_priority():
    old = [waiter("old alert", Priority.ALERT, 4000), waiter("old schedule", waited=3900)]
    assert names([*old, waiter("alert", Priority.ALERT)]) == ["old alert", "alert", "old schedule"]


@given(lines, st.booleans())
def test_every_run_is_in_line_once_in_any_list_order(line, urgent_went):
    order = names(line, urgent_went=urgent_went)
    assert sorted(order) == sorted(w.name for w in line)
    assert names(reversed(line), urgent_went=urgent_went) == order


@given(lines, st.booleans())
def test_the_longest_waiting_run_is_at_most_second_once_urgent(line, urgent_went):
    old = waiter("old", waited=7201)
    assert names([*line, old], urgent_went=urgent_went).index("old") <= 1


@given(lines)
def test_a_new_alert_waits_for_at_most_one_urgent_run(line):
    others = [w for w in line if w.priority != Priority.ALERT]
    assert names([*others, waiter("new", Priority.ALERT)]).index("new") <= 1


def place(me, *others, free=NOW):
    order = in_order([me, *others], now=NOW, patience=PATIENCE)
    return place_of(me, order, free=free, now=NOW)


def test_a_run_that_is_about_to_look_goes_first():
    found = place(waiter("me"), waiter("a", Priority.ALERT, wakes=2))
    assert [w.name for w in found.ahead] == ["a"]
    assert found.yields


def test_a_run_that_sleeps_past_its_turn_keeps_its_place():
    found = place(waiter("me"), waiter("a", Priority.ALERT, wakes=120))
    assert [w.name for w in found.ahead] == ["a"]
    assert not found.yields
    assert place(waiter("me"), waiter("a", Priority.ALERT, wakes=120), free=NOW + 2 * MINUTE).yields


def test_a_waiter_long_overdue_holds_up_no_other():
    dead = waiter("a", Priority.ALERT, waited=900, wakes=-GRACE.total_seconds() - 1)
    assert place(waiter("me"), dead).ahead == ()


def test_a_run_that_is_slightly_late_still_goes_first():
    """Starting a process takes seconds: without this grace the others would overtake it."""
    late = waiter("a", Priority.ALERT, waited=900, wakes=-GRACE.total_seconds() + 1)
    assert place(waiter("me"), late).yields
    soon = waiter("a", Priority.ALERT, waited=900, wakes=GRACE.total_seconds() - 1)
    assert place(waiter("me"), soon).yields
    assert not place(waiter("me"), waiter("a", Priority.ALERT, wakes=GRACE.total_seconds() + 1)).yields
