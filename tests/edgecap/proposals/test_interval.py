"""The interval of a share is the exact binomial one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.proposals.interval import Stratum, clopper_pearson, fewest_to_prove, share_of


def at_most(matched: int, packets: int, share: float) -> float:
    """The chance of at most so many matches."""
    return sum(math.comb(packets, k) * share**k * (1 - share) ** (packets - k) for k in range(matched + 1))


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_each_end_leaves_a_chance_of_two_and_a_half_per_cent(case):
    """The definition, computed by adding up the binomial distribution."""
    matched, packets = case
    low, high = clopper_pearson(matched, packets)
    assert low <= matched / packets <= high
    if matched < packets:
        assert at_most(matched, packets, high) == pytest.approx(0.025, abs=1e-9)
    else:
        assert high == 1
    if matched:
        assert 1 - at_most(matched - 1, packets, low) == pytest.approx(0.025, abs=1e-9)
    else:
        assert low == 0


@pytest.mark.parametrize(
    ("matched", "packets", "low", "high"),
    [
        (0, 10_000_000, 0, 3.688879e-7),  # 1 - 0.025 ** (1 / n)
        (5_000_000, 10_000_000, 0.4996901, 0.5003099),  # as the normal distribution has it
        (10_000_000, 10_000_000, 1 - 3.688879e-7, 1),
    ],
)
def test_it_holds_for_millions_of_packets(matched, packets, low, high):
    assert clopper_pearson(matched, packets) == pytest.approx((low, high), rel=1e-5, abs=1e-12)


def test_the_fewest_packets_for_a_proof_are_just_enough():
    least = fewest_to_prove(0.005)
    assert least == 736
    assert clopper_pearson(0, least)[1] <= 0.005 < clopper_pearson(0, least - 1)[1]


@given(st.integers(0, 50), st.integers(50, 500), st.floats(0.1, 1000))
def test_equal_weights_change_nothing(matched, packets, weight):
    plain = share_of([Stratum(matched, packets)])
    weighted = share_of([Stratum(matched, packets, weight)])
    assert (weighted.value, weighted.low, weighted.high) == pytest.approx(
        (plain.value, plain.low, plain.high)
    )


def test_packets_that_stand_for_many_widen_the_interval():
    """A hundred samples that stand for 10,000 packets prove less than those packets."""
    mixed = share_of([Stratum(0, 100, 100.0), Stratum(0, 10_000, 1.0)])
    counted = share_of([Stratum(0, 20_000)])
    samples = share_of([Stratum(0, 100)])
    assert counted.high < mixed.high < samples.high
    assert share_of([Stratum(50, 100, 3.0), Stratum(0, 300)]).value == pytest.approx(0.25)
