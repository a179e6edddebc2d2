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


def test_a_minute_of_a_fast_simulator_takes_seconds_here():
    clock = Timing(server_speed=30).server_clock(lambda: NOW)
    assert clock.until(NOW + MINUTE) == clock.here(MINUTE) == timedelta(seconds=2)
    assert clock.there(timedelta(seconds=2)) == MINUTE
    assert clock == ServerClock(clock.now, 30)
