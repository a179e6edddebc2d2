"""The exact binomial interval of a share, after Clopper and Pearson (1934), also of weighted counts.

Packets are taken as independent of each other. They come in flows, so the true interval is somewhat wider.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_TAIL = 0.025  # on each side of 95 %
_STEPS = 80  # of the bisection: more than a float's digits
_TERMS = 1000
_TINY = 1e-300
_PRECISION = 1e-14


@dataclass(frozen=True, slots=True)
class Stratum:
    """Packets that were sampled in one way, and how many of them matched.

    Attributes:
        matched: of `packets`.
        packets: all of them.
        weight: what one of them stands for, relative to those of other strata.
    """

    matched: int
    packets: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval; all are 0 to 1."""

    value: float
    low: float
    high: float


def share_of(strata: Sequence[Stratum]) -> Share:
    """The share of packets that match, and its interval.

    Weighted counts are reduced to an effective number of packets (Kish 1965): packets that stand for many
    count as fewer than there are.

    Args:
        strata: at least one with packets.
    """
    total = sum(each.weight * each.packets for each in strata)
    value = sum(each.weight * each.matched for each in strata) / total
    size = total**2 / sum(each.weight**2 * each.packets for each in strata)
    low, high = clopper_pearson(value * size, size)
    return Share(value, low, high)


def clopper_pearson(matched: float, packets: float) -> tuple[float, float]:
    """The exact 95 % interval of a share.

    Args:
        matched: of `packets`; effective numbers need not be whole.
        packets: more than 0.

    >>> [round(end, 6) for end in clopper_pearson(0, 1000)]
    [0.0, 0.003682]
    """
    missed = packets - matched
    low = 0.0 if matched <= 0 else _beta_quantile(_TAIL, matched, missed + 1)
    high = 1.0 if missed <= 0 else _beta_quantile(1 - _TAIL, matched + 1, missed)
    return low, high


def fewest_to_prove(limit: float) -> int:
    """How many packets of which none matches it takes until the upper end is at most `limit`."""
    return math.ceil(math.log(_TAIL) / math.log1p(-limit))


def _beta_quantile(wanted: float, a: float, b: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _beta(middle, a, b) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Abramowitz and Stegun 26.5.8)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    return front * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction, by Lentz's method."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = d
    for term in range(1, _TERMS):
        for factor in (
            term * (b - term) * x / ((a + 2 * term - 1) * (a + 2 * term)),
            -(a + term) * (a + b + term) * x / ((a + 2 * term) * (a + 2 * term + 1)),
        ):
            d = 1 / _not_zero(1 + factor * d)
            c = _not_zero(1 + factor / c)
            value *= c * d
        if abs(c * d - 1) < _PRECISION:
            return value
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
