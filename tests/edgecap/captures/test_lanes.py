import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.captures.lanes import AHEAD, LAG, LastSubmission, ends, next_turn
from edgecap.cloudflare.models import Capture
from edgecap.requests import rfc3339
from edgecap.settings import BASE_URL, Account

NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LOOK = timedelta(seconds=5)
STATUSES = ["unknown", "pending", "running", "conversion_pending", "conversion_running", "novel"]


def capture(kind="simple", ago=0.0, status="success", number=1, **more):
    submitted = rfc3339(NOW - timedelta(seconds=ago))
    return Capture.model_validate(
        {"id": f"{number:032x}", "type": kind, "status": status, "submitted": submitted, **more}
    )


def turn(kind, captures, memory=None):
    return next_turn(kind, captures, now=NOW, spacing=MINUTE, look_again=LOOK, memory=memory)


def test_an_empty_list_means_now():
    assert turn("simple", []).now
    assert turn("full", []).now


@given(st.lists(st.floats(0, 300), min_size=1, max_size=50), st.randoms())
def test_simple_waits_a_minute_after_the_newest_in_any_list_order(ages, random):
    captures = [capture(ago=age, number=n) for n, age in enumerate(ages)]
    random.shuffle(captures)
    newest = max(c.submitted for c in captures)
    found = turn("simple", captures)
    assert found.now == (newest + MINUTE <= NOW)
    if not found.now:
        assert found.at == newest + MINUTE


@pytest.mark.parametrize("status", STATUSES)
def test_full_waits_for_any_status_that_is_not_final(status):
    found = turn("full", [capture("full", 3600, "success"), capture("full", 30, status, 2, time_limit=25)])
    assert not found.now
    assert status in found.reason
    assert found.at == NOW + LOOK


@pytest.mark.parametrize(
    ("ago", "time_limit", "look"),
    [(10, 60, 50), (10, 86_400, 300), (58, 60, 5), (70, 60, 5), (100, 60, 10), (7200, 60, 60)],
)
def test_a_running_capture_is_next_looked_at_when_it_may_be_over(ago, time_limit, look):
    """And ever less often from then on."""
    found = turn("full", [capture("full", ago, "running", time_limit=time_limit)])
    assert found.at == NOW + timedelta(seconds=look)


def test_a_turn_is_expected_when_the_running_capture_should_be_over():
    """Those behind reckon with it; the next look may come long before."""
    found = turn("full", [capture("full", 10, "running", time_limit=3610)])
    assert (found.at, found.expected) == (NOW + timedelta(minutes=5), NOW + timedelta(hours=1))
    overdue = turn("full", [capture("full", 70, "running", time_limit=60)])
    assert overdue.expected == overdue.at == NOW + LOOK


@pytest.mark.parametrize("status", ["success", "complete", "failed"])
def test_full_is_free_when_all_are_final(status):
    assert turn("full", [capture("full", 1, status)]).now


def test_lanes_do_not_see_each_other():
    assert turn("simple", [capture("full", 1, "running")]).now
    assert turn("full", [capture("simple", 1, "pending")]).now


def test_the_last_submission_counts_while_the_list_lags():
    memory = LastSubmission("f" * 32, NOW - timedelta(seconds=10))
    assert turn("simple", [], memory).at == NOW + timedelta(seconds=50)
    assert not memory.urgent  # unless it is said: else the longest waiting would lose a turn
    assert turn("full", [], memory).at == NOW + LOOK
    assert turn("full", [capture("full", 10, "success", int("f" * 32, 16))], memory).now


def test_the_reason_to_wait_names_the_lane_s_own_pace():
    """A demonstration's edge takes one every few seconds; its people read that they wait for a minute."""
    seen = [capture(ago=2)]
    reasons = [
        next_turn("simple", seen, now=NOW, spacing=spacing, look_again=LOOK).reason
        for spacing in (MINUTE, timedelta(seconds=8))
    ]
    assert reasons[0].endswith(", and only one a minute is allowed")
    assert reasons[1].endswith(", and only one every 8 s is allowed")


def test_a_request_with_an_unknown_answer_counts_for_a_minute():
    """Its holder died between the POST and its answer: it may have been accepted."""
    memory = LastSubmission("", NOW - timedelta(seconds=10))
    assert turn("simple", [], memory).at == NOW + timedelta(seconds=50)
    assert turn("full", [], memory).at == NOW + timedelta(seconds=50)
    assert turn("full", [], LastSubmission("", NOW - timedelta(seconds=60))).now
    assert turn("simple", [], LastSubmission("", NOW - timedelta(seconds=60))).now


def test_a_remembered_time_in_the_future_is_not_trusted():
    """A clock that jumped back, or another simulator with a faster one: a run waited for ever."""
    hour = timedelta(hours=1)
    assert turn("full", [], LastSubmission("f" * 32, NOW + hour)).now
    assert turn("full", [], LastSubmission("", NOW + hour)).now
    assert turn("simple", [], LastSubmission("", NOW + hour)).now
    assert not turn("simple", [], LastSubmission("", NOW + AHEAD)).now
    assert not turn("full", [], LastSubmission("f" * 32, NOW + AHEAD)).now


@given(st.floats(-86_400, 86_400), st.floats(-86_400, 86_400), st.sampled_from(["", "f" * 32]))
def test_no_run_waits_longer_than_the_rule_itself_requires(listed, remembered, capture_id):
    memory = LastSubmission(capture_id, NOW + timedelta(seconds=remembered))
    assert turn("simple", [capture(ago=listed)], memory).at <= NOW + MINUTE
    found = turn("full", [], memory)
    assert found.at <= NOW + MINUTE
    if not found.now:
        assert timedelta(seconds=remembered) > -LAG


def test_a_later_capture_in_the_list_overrides_the_remembered_submission():
    memory = LastSubmission("f" * 32, NOW - timedelta(seconds=30))
    assert not turn("full", [capture(ago=31)], memory).now
    assert turn("full", [capture(ago=29)], memory).now


def test_another_api_for_the_same_account_has_lanes_of_its_own():
    accounts = [
        Account(account_id="a" * 32, **address)
        for address in (
            {},
            {"base_url": f"{BASE_URL}/"},
            {"base_url": "http://127.0.0.1:1"},
            {"base_url": "http://127.0.0.1:2"},
        )
    ]
    names = [account.lanes for account in accounts]
    assert names[0] == names[1] == "a" * 32
    assert len(set(names)) == 3
    assert all(re.fullmatch("[0-9a-f_]+", name) for name in names)


def test_a_stopped_capture_is_over_when_its_stop_was_requested():
    long = {"time_limit": 86_400, "kind": "full", "ago": 600.0}
    assert ends(capture(**long), NOW) == NOW + timedelta(seconds=85_800)
    assert ends(capture(**long, stop_requested=rfc3339(NOW - MINUTE)), NOW) == NOW - MINUTE
    late = rfc3339(NOW + MINUTE)  # of one whose time is over, which Cloudflare is still converting
    assert ends(capture("full", 600.0, time_limit=300, stop_requested=late), NOW) == NOW - 5 * MINUTE
