"""The API's clock as it goes here."""

from datetime import UTC, datetime, timedelta

from edgecap.clock import ServerClock
from edgecap.settings import Timing

NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_a_minute_of_the_real_server_is_a_minute_here():
    clock = Timing().server_clock(lambda: NOW)
    assert clock.until(NOW + MINUTE) == clock.here(MINUTE) == clock.there(MINUTE) == MINUTE
    assert clock.until(NOW - MINUTE) == -MINUTE


def test_a_date_shows_a_moment_at_the_next_whole_second():
    clock = Timing().server_clock(lambda: NOW)
    second = timedelta(seconds=1)
    assert clock.until_shown(NOW + second) == second
    assert clock.until_shown(NOW + second + timedelta(microseconds=1)) == 2 * second
    assert clock.until_shown(NOW - second / 2) == timedelta()


def test_a_minute_of_a_fast_simulator_takes_seconds_here():
    clock = Timing(server_speed=30).server_clock(lambda: NOW)
    assert clock.until(NOW + MINUTE) == clock.here(MINUTE) == timedelta(seconds=2)
    assert clock.there(timedelta(seconds=2)) == MINUTE
    assert clock == ServerClock(clock.now, 30)
