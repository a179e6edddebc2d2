"""What people type is read as they mean it, or refused in one line that names the option."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.cli.values import parse_duration, parse_protocol, parse_size, parse_when
from edgecap.errors import InvalidRequest
from edgecap.protocols import PROTOCOL_NUMBERS

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.lists(st.tuples(st.integers(0, 9999), st.sampled_from(sorted(UNITS))), min_size=1, max_size=4))
def test_a_duration_is_the_sum_of_its_parts(parts):
    text = "".join(f"{number}{unit}" for number, unit in parts)
    seconds = sum(number * UNITS[unit] for number, unit in parts)
    assert parse_duration(text, field="--since") == timedelta(seconds=seconds)
    assert parse_when(text, field="--since", now=NOW) == NOW - timedelta(seconds=seconds)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=ZONES))
def test_a_time_keeps_its_moment_whatever_its_zone(moment):
    read = parse_when(moment.isoformat(), field="--at", now=NOW)
    assert read == moment
    assert read.utcoffset() == timedelta(0)


@given(st.text())
def test_any_text_is_a_moment_or_one_clear_line(text):
    for parse in (
        lambda: parse_when(text, field="--at", now=NOW),
        lambda: parse_size(text, field="--at"),
        lambda: parse_protocol(text, field="--at"),
        lambda: parse_duration(text, field="--at"),
    ):
        with suppress(InvalidRequest):
            parse()
            continue
        with pytest.raises(InvalidRequest, match="--at") as caught:
            parse()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-11-23T06:30:00", "no time zone"),
        ("2026-11-23", "no time zone"),
        ("10", "is not a time"),
        ("-10m", "is not a time"),
        ("10 m", "is not a time"),
        ("", "is not a time"),
        ("9" * 9 + "w", "is not a time|too long"),
    ],
)
def test_an_invalid_time_is_refused(text, words):
    with pytest.raises(InvalidRequest, match=words):
        parse_when(text, field="--at", now=NOW)


def test_now_is_now():
    assert parse_when("now", field="--at", now=NOW) == NOW


@given(st.integers(0, 10**9))
def test_bytes_are_themselves(number):
    assert parse_size(str(number), field="--bytes") == number
    assert parse_size(f"{number} B", field="--bytes") == number


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("100MB", 100_000_000),
        ("100mb", 100_000_000),
        ("100M", 100_000_000),
        ("1.5kB", 1500),
        ("64MiB", 64 * 2**20),
        ("1GiB", 2**30),
        ("0.0015kB", 1),
        ("1 GB", 10**9),
    ],
)
def test_sizes_have_the_units_that_people_write(text, size):
    assert parse_size(text, field="--bytes") == size


@pytest.mark.parametrize("text", ["", "MB", "1e9", "-1", "1,5MB", "10MX", "1.2.3", "٣"])
def test_an_invalid_size_is_refused(text):
    with pytest.raises(InvalidRequest, match="is not a size"):
        parse_size(text, field="--bytes")


@given(st.integers(0, 255))
def test_a_protocol_s_number_is_itself(number):
    assert parse_protocol(str(number), field="--proto") == number


@given(st.sampled_from(sorted(PROTOCOL_NUMBERS)), st.booleans())
def test_a_protocol_has_a_name_in_any_case(name, upper):
    assert parse_protocol(name.upper() if upper else name, field="--proto") == PROTOCOL_NUMBERS[name]


@given(st.integers(256) | st.integers(max_value=-1))
def test_other_numbers_are_no_protocols(number):
    with pytest.raises(InvalidRequest, match="unknown IP protocol"):
        parse_protocol(str(number), field="--proto")
