"""Numbers of samples with their 95 % interval.

A sampled capture keeps each packet with the same chance, 1 in `sampling`. What is wanted is the number of
packets that passed, and that number is fixed; so only the choice of samples is by chance. The interval of a
count is that of Jeffreys' prior for a Poisson number (Brown, Cai and DasGupta 2003), narrowed by the finite
population. The interval of a share is Wilson's (1927). Both cover 95 % on average over all true values,
also of few packets; the exact ones of Garwood and Clopper and Pearson cover more, and are wider.
"""

from __future__ import annotations

from math import hypot, sqrt

from pydantic import BaseModel, ConfigDict, Field

_Z = 1.959964  # of a normal distribution, 2.5 % on either side


class Estimate(BaseModel):
    """A number with its 95 % interval; both ends equal the value if it was counted without sampling."""

    model_config = ConfigDict(extra="allow", frozen=True)

    value: float
    low: float = Field(description="Lower end of the 95 % interval")
    high: float = Field(description="Upper end of the 95 % interval")

    @property
    def exact(self) -> bool:
        """Whether it was counted."""
        return self.low == self.high

    def times(self, factor: float) -> Estimate:
        """The estimate of a multiple."""
        return Estimate(value=self.value * factor, low=self.low * factor, high=self.high * factor)

    def blurred(self, factor: Estimate) -> Estimate:
        """The interval of this estimate, made by multiplying with `factor`'s value, if that is one, too."""
        low = hypot(self.value - self.low, self.value * (1 - factor.low / factor.value))
        high = hypot(self.high - self.value, self.value * (factor.high / factor.value - 1))
        return Estimate(value=self.value, low=max(0.0, self.value - low), high=self.value + high)


def count(seen: float, *, sampled: bool, sampling: float | None = None) -> Estimate:
    """How many packets passed, where `seen` were kept.

    Args:
        seen: packets that were kept; a fraction if they have different weights (`weighted`).
        sampled: whether they are samples.
        sampling: one packet in so many was kept; None if that is not known. Then the estimate is of samples:
            how many of them such traffic gives.
    """
    if not sampled:
        return Estimate(value=seen, low=seen, high=seen)
    every = sampling or 1.0
    narrowed = sqrt(1 - 1 / every) if sampling else 1.0
    low = _chi_squared(2 * seen + 1, -_Z) / 2 if seen else 0.0
    high = _chi_squared(2 * seen + 1, _Z) / 2
    value = seen * every
    return Estimate(
        value=value,
        low=max(seen, value - (value - low * every) * narrowed) if sampling else low,
        high=value + (high * every - value) * narrowed,
    )


def weighted(total: float, squares: float, *, usual: float = 1.0) -> Estimate:
    """How many packets passed, of samples that each stand for another number of packets.

    The weights make the sum as uncertain as that of `total ** 2 / squares` samples that each stand for
    `squares / total` packets (Dobson, Kuulasmaa, Eberle and Scherer 1991): so this is `count` of those. It
    knows nothing of packets with a weight that no sample has.

    Args:
        total: the sum of the samples' weights.
        squares: the sum of their squares.
        usual: what a sample would stand for, if there is none.
    """
    if not total:
        return count(0, sampled=usual > 1, sampling=usual)
    each = squares / total
    return count(total / each, sampled=each > 1, sampling=each)


def share(part: int, whole: int, *, sampled: bool) -> Estimate:
    """Which share of the packets that passed `part` of `whole` stands for."""
    if not whole:
        return Estimate(value=0, low=0, high=0)
    value = part / whole
    if not sampled:
        return Estimate(value=value, low=value, high=value)
    spread = _Z * sqrt(value * (1 - value) / whole + _Z**2 / (4 * whole**2))
    middle, scale = value + _Z**2 / (2 * whole), 1 + _Z**2 / whole
    return Estimate(
        value=value,
        low=min(value, max(0.0, (middle - spread) / scale)),
        high=max(value, min(1.0, (middle + spread) / scale)),
    )


def ratio(now: Estimate, before: Estimate) -> Estimate:
    """How many times `before` is `now`, at least and at most; a `before` of 0 counts as its upper end."""
    usual = before.value or before.high or 1e-9
    return Estimate(
        value=now.value / usual,
        low=now.low / max(before.high, 1e-9),
        high=now.high / max(before.low, usual / 10, 1e-9),
    )


def _chi_squared(degrees: float, z: float) -> float:
    """The quantile that belongs to `z` of the normal distribution (Wilson and Hilferty 1931)."""
    part = 2 / (9 * degrees)
    return float(degrees * max(0.0, 1 - part + z * sqrt(part)) ** 3)
