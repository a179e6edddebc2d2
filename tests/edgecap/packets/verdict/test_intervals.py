"""Intervals of samples: which numbers they are of, and that they narrow to what was counted."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.packets.verdict.intervals import Estimate, count, ratio, share


def test_what_was_counted_has_no_interval():
    assert count(7, sampled=False) == Estimate(value=7, low=7, high=7)
    assert share(1, 4, sampled=False) == Estimate(value=0.25, low=0.25, high=0.25)
    assert count(7, sampled=True, sampling=1).exact
    assert not count(7, sampled=True).exact


@pytest.mark.parametrize(
    ("seen", "low", "high"),
    [(0, 0.0, 2.51), (1, 0.108, 4.67), (10, 5.14, 17.74), (100, 81.8, 121.0)],
)
def test_a_count_has_the_interval_of_jeffreys(seen, low, high):
    """Quantiles of the chi-squared distribution with 2n+1 degrees, halved, as tables have them."""
    found = count(seen, sampled=True)
    assert found.low == pytest.approx(low, rel=0.03, abs=0.03)
    assert found.high == pytest.approx(high, rel=0.03)


@given(st.integers(0, 10**7), st.floats(1, 1e5))
def test_an_interval_holds_its_value(seen, sampling):
    found = count(seen, sampled=True, sampling=sampling)
    assert seen <= found.low + 1e-6 * seen
    assert found.low <= found.value <= found.high


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_share_stays_a_share(part, rest):
    found = share(part, part + rest, sampled=True)
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize("sampling", [2, 10, 100])
@pytest.mark.parametrize("truth", [300, 4_000])
def test_the_interval_holds_the_truth_nineteen_times_of_twenty(truth, sampling):
    rng = Random(f"{truth}/{sampling}")
    tries = 300
    held = 0
    for _ in range(tries):
        seen = sum(rng.random() * sampling < 1 for _ in range(truth))
        found = count(seen, sampled=True, sampling=sampling)
        held += found.low <= truth <= found.high
    assert 0.91 <= held / tries <= 0.985


def test_a_ratio_is_certain_only_where_both_are():
    sure = ratio(Estimate(value=100, low=90, high=110), Estimate(value=10, low=9, high=11))
    assert sure.low == pytest.approx(90 / 11)
    nothing_before = ratio(Estimate(value=100, low=90, high=110), Estimate(value=0, low=0, high=2.5))
    assert nothing_before.low == pytest.approx(90 / 2.5)
