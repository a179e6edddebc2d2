"""The time that simple captures cover around the start and the end of an attack."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.alerts.policy.decision import windows
from edgecap.requests import Bounds
from tests.edgecap.alerts.policy.decided import NOW, plan


class TestWindows:
    @pytest.mark.parametrize(
        ("before", "ago", "lengths", "first"),
        [
            (240, 60, [300], (-300, 0)),
            (240, 61, [150, 151], (-151, 0)),
            (60, 0, [60], (-60, 0)),
            (900, 30, [232, 233, 232, 233], (-233, 0)),
            (240, 3600, [240, 240], (-3840, -3600)),
            (3600, 7200, [300] * 24, (-7500, -7200)),
        ],
    )
    def test_tiles_are_equal_and_gapless_and_the_latest_is_first(self, before, ago, lengths, first):
        found = plan(f"before = {before}", started=NOW - timedelta(seconds=ago)).captures
        by_time = sorted(found, key=lambda each: each.number)
        assert [each.request.time_limit for each in by_time] == lengths
        edges = [
            (each.request.offset_time - timedelta(seconds=each.request.time_limit), each.request.offset_time)
            for each in by_time
        ]
        assert edges[0][0] == NOW - timedelta(seconds=ago + before)
        assert all(one[1] == two[0] for one, two in itertools.pairwise(edges))
        ends = found[0].request.offset_time
        begins = ends - timedelta(seconds=found[0].request.time_limit)
        assert (begins, ends) == tuple(NOW + timedelta(seconds=second) for second in first)

    def test_an_alert_without_a_start_time_begins_at_its_arrival(self):
        found = plan("before = 100", started=None)
        assert found.captures[0].request.offset_time == NOW
        assert "has no start time" in found.remarks[0]

    def test_a_start_in_the_future_counts_as_now(self):
        found = plan("before = 100", started=NOW + timedelta(minutes=5))
        assert found.captures[0].request.offset_time == NOW
        assert "in the future" in found.remarks[0]

    @pytest.mark.parametrize("during", ["", 'during = { seconds = 60, colos = ["ORD"] }'])
    def test_nothing_is_captured_of_an_attack_that_began_too_long_ago(self, during):
        found = plan(f"before = 100\n{during}", started=NOW - timedelta(hours=25))
        assert (found.captures, found.filter) == ((), None)
        assert found.reason == (
            "no captures: the attack began 2026-11-22 05:32:00 UTC, "
            "and Cloudflare no longer keeps packets from then"
        )

    def test_a_window_that_is_partly_gone_is_cut(self):
        oldest = NOW - timedelta(hours=23, minutes=30)
        found = plan("before = 600", started=oldest + timedelta(seconds=60))
        begins = min(
            each.request.offset_time - timedelta(seconds=each.request.time_limit) for each in found.captures
        )
        assert begins == oldest
        assert "left out" in found.remarks[0]

    def test_a_shorter_bound_makes_more_tiles(self):
        found = plan("before = 240", bounds=Bounds(simple_time_limit=100))
        assert [each.request.time_limit for each in found.captures] == [100, 100, 100]

    @given(
        seconds=st.integers(0, 5000),
        longest=st.integers(1, 300),
        begins=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    )
    def test_tiles_cover_exactly_the_requested_time(self, seconds, longest, begins):
        ends = begins + timedelta(seconds=seconds)
        tiles = windows.tile(begins, ends, longest)
        assert sum(each.seconds for each in tiles) == seconds
        assert all(1 <= each.seconds <= longest for each in tiles)
        assert len(tiles) == -(-seconds // longest)
        assert (
            max((each.seconds for each in tiles), default=0)
            - min((each.seconds for each in tiles), default=0)
            <= 1
        )
        for one, two in itertools.pairwise(tiles):
            assert one.ends == two.begins
        if tiles:
            assert tiles[0].begins == begins.replace(microsecond=0)
