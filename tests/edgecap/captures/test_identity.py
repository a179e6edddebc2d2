from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.captures.identity import fingerprint, intent_id

moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
names = st.lists(st.text(min_size=1), min_size=1, max_size=4)


@given(names)
def test_the_same_parts_give_the_same_id(parts):
    assert intent_id(*parts) == intent_id(*parts)
    assert len(intent_id(*parts)) == 32


def test_parts_are_kept_apart():
    assert intent_id("ab", "c") != intent_id("a", "bc")


@pytest.mark.parametrize("parts", [(), ("",), ("run", "")])
def test_nothing_gives_no_identity(parts):
    with pytest.raises(ValueError, match="identity"):
        intent_id(*parts)


@given(moments, names)
def test_a_fingerprint_moves_a_window_back_by_under_a_second(moment, parts):
    marked = fingerprint(moment, intent_id(*parts))
    assert timedelta(0) <= moment - marked < timedelta(seconds=1)


@given(moments, names, names)
def test_a_fingerprint_tells_intents_apart(moment, one, other):
    a, b = intent_id(*one), intent_id(*other)
    same = fingerprint(moment, a) == fingerprint(moment, b)
    assert same == (int(a[:12], 16) % 1_000_000 == int(b[:12], 16) % 1_000_000)
