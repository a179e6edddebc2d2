"""Clock, limits and delays in headers: read when they are right, passed over when they are not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.cloudflare.headers import RateLimit, rate_limit, retry_delay, server_date

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Mon, 23 Nov 2026 12:00:00 GMT", NOW),
        ("Mon, 23 Nov 2026 13:00:00 +0100", NOW),
        ("Mon, 23 Nov 2026 12:00:00 -0000", NOW),
        ("", None),
        ("yesterday", None),
        ("Mon, 99 Nov 2026 12:00:00 GMT", None),
    ],
)
def test_reads_the_server_s_clock(text, moment):
    assert server_date({"date": text}) == moment


def test_an_answer_without_date_has_no_clock():
    assert server_date({}) is None


@pytest.mark.parametrize(
    ("limit", "policy", "found"),
    [
        ('"default";r=50;t=30', "", RateLimit("default", 50, 30)),
        ('"default";r=50;t=30', '"default";q=100;w=60', RateLimit("default", 50, 30, 100, 60)),
        ('"default";r=50;t=30', '"burst";q=100;w=60', RateLimit("default", 50, 30, 100, 60)),
        ('"a";r=5;t=3, "b";r=2;t=9', '"a";q=10;w=6,"b";q=20;w=7', RateLimit("b", 2, 9, 20, 7)),
        ('"a";r=5, "b";r=7', '"x";q=1;w=1, "y";q=2;w=2', RateLimit("a", 5)),
        ("default; r=1 ; t=2", "", RateLimit("default", 1, 2)),
        ('"default";t=30', "", None),
        ("50", "", None),
        ("", '"default";q=100;w=60', None),
    ],
)
def test_reads_the_tightest_limit(limit, policy, found):
    assert rate_limit({"ratelimit": limit, "ratelimit-policy": policy}) == found


def test_a_limit_reads_well():
    assert str(RateLimit("default", 50, 30, 100, 60)) == "50 of 100 requests left, reset in 30 s"
    assert str(RateLimit("default", 50)) == "50 requests left"


def test_no_delay_is_longer_than_dates_can_hold():
    assert retry_delay({"retry-after": "9" * 400}, now=NOW) == timedelta(days=365)
    assert retry_delay({"retry-after": "inf"}, now=NOW) == timedelta(days=365)


@given(text=st.text(max_size=40) | st.from_regex(r'"[a-z]*";r=[0-9]*;t=[0-9]*(,.*)?', fullmatch=True))
def test_nothing_in_a_header_breaks_the_reading(text):
    headers = {"date": text, "ratelimit": text, "ratelimit-policy": text, "retry-after": text}
    server_date(headers)
    delay = retry_delay(headers, now=NOW)
    assert delay is None or delay >= timedelta(0)
    limit = rate_limit(headers)
    assert limit is None or limit.remaining >= 0
