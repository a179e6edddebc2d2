from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.units import bit_rate, clock, duration, percent, period, short, size, stamp

MOMENT = datetime(2026, 11, 23, 6, 34, 6, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (7, "7"),
        (0.25, "0.25"),
        (9.994, "9.99"),
        (99.96, "100"),
        (999, "999"),
        (999.7, "1 k"),
        (1_000, "1 k"),
        (12_345, "12.3 k"),
        (999_600, "1 M"),
        (1_234_567_890, "1.23 G"),
    ],
)
def test_numbers_have_three_digits_and_a_prefix(number, shown):
    assert short(number) == shown


@given(st.floats(min_value=0, max_value=1e18))
def test_no_number_is_longer_than_a_column(number):
    assert len(short(number)) <= 6


def test_units_follow_the_prefix():
    assert (size(1_460_000), bit_rate(0), size(12)) == ("1.46 MB", "0 bit/s", "12 B")


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0.0%"), (0.0001, "<0.1%"), (0.5, "50.0%"), (0.99999, ">99.9%"), (1, "100.0%")],
)
def test_a_share_is_never_nothing_or_all_if_it_is_not(share, shown):
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 ms"),
        (0.0002, "<1 ms"),
        (0.25, "250 ms"),
        (1.5, "1.5 s"),
        (59.99, "1 min"),
        (150, "2 min 30 s"),
        (3_600, "1 h"),
        (3_900, "1 h 5 min"),
        (3 * 86_400 + 4 * 3_600, "3 d 4 h"),
    ],
)
def test_durations_have_at_most_two_units(seconds, shown):
    assert duration(seconds) == shown


def test_times_from_any_zone_are_shown_in_utc():
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=9)))
    assert stamp(elsewhere) == "2026-11-23 06:34:06 UTC"
    assert clock(elsewhere, step=0.1) == "06:34:06.25"
    assert clock(elsewhere, step=60) == "06:34"
    assert period(elsewhere, elsewhere + timedelta(minutes=1)) == "2026-11-23 06:34:06 to 06:35:06 UTC"


def test_seconds_are_the_nearest_wherever_a_time_is_shown():
    """Cut off, a packet a millisecond before a window would come a second before it."""
    begins = MOMENT.replace(second=40, microsecond=400)
    packet = begins - timedelta(milliseconds=1)
    assert stamp(packet) == stamp(begins) == "2026-11-23 06:34:40 UTC"
    assert clock(packet) == clock(begins) == "06:34:40"
    assert period(packet, packet) == period(begins, begins)
    assert clock(packet, step=0.001) == "06:34:39.9994"


def test_a_period_over_midnight_says_both_days():
    assert period(MOMENT, MOMENT + timedelta(days=1)) == "2026-11-23 06:34:06 to 2026-11-24 06:34:06 UTC"
    assert period(None, MOMENT) == "-"
