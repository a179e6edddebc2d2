"""Numbers that look random and depend on nothing but a name, a second, a server and a count.

They decide how many packets there are, when they come, which are dropped and which are sampled, so that a
count of an hour and a capture of one second agree without either being stored.
"""

from __future__ import annotations

from hashlib import blake2b
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

Marks = NDArray[np.uint64]
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = (np.uint64(bits) for bits in (30, 27, 31, 11))
_ONE_MARK = 2.0**-53
_BITS, _ALL = 64, (1 << 64) - 1


def named(name: str) -> np.uint64:
    """The mark of a name, the same in every process."""
    return np.uint64(int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big"))


def derived(marks: Marks | np.uint64, numbers: NDArray[Any] | int) -> Marks:
    """A new mark for each mark with its number; arrays are broadcast. This is SplitMix64's mixing."""
    with np.errstate(over="ignore"):
        mixed = np.asarray(marks) + (np.asarray(numbers).astype(np.uint64) + np.uint64(1)) * _STEP
        mixed = (mixed ^ mixed >> _30) * _FIRST
        mixed = (mixed ^ mixed >> _27) * _SECOND
        return np.asarray(mixed ^ mixed >> _31)


def part_of_one(marks: Marks) -> NDArray[np.float64]:
    """Each mark as a number from 0 to below 1."""
    return np.asarray((marks >> _11) * _ONE_MARK)


class Dice(Random):
    """Random numbers from a mark; `restart` takes a hundredth of the time of seeding a `Random`."""

    _state = 0

    def restart(self, mark: int) -> Dice:
        """Begin anew from a mark; returns itself."""
        self._state = mark
        return self

    def random(self) -> float:
        """From 0 to below 1."""
        return self.getrandbits(53) * _ONE_MARK

    def getrandbits(self, k: int, /) -> int:
        """A number of `k` bits."""
        if k > _BITS:
            return self.getrandbits(_BITS) << (k - _BITS) | self.getrandbits(k - _BITS)
        self._state = state = self._state + 0x9E3779B97F4A7C15 & _ALL
        mixed = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _ALL
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _ALL
        return (mixed ^ mixed >> 31) >> _BITS - k
