"""How many different values there are: counted up to some thousand, estimated beyond."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_COUNTED = 4_096  # values that are kept
_BITS = 12
_REGISTERS = 1 << _BITS


class Distinct:
    """Different 64-bit hashes. Above `_COUNTED`, by HyperLogLog, within 2 % or so."""

    __slots__ = ("_registers", "_values")

    def __init__(self) -> None:
        self._values: NDArray[np.uint64] = np.zeros(0, "u8")
        self._registers: NDArray[np.uint8] | None = None

    def __repr__(self) -> str:
        return f"<Distinct [{len(self)}]>"

    def add(self, hashes: NDArray[np.uint64]) -> None:
        """Add values."""
        if self._registers is None:
            found = np.unique(hashes)
            self._values = np.union1d(self._values, found) if len(self._values) else found
            if len(self._values) <= _COUNTED * 16:
                return
            self._registers, hashes = np.zeros(_REGISTERS, "u1"), self._values
            self._values = np.zeros(0, "u8")
        ranks = 1 + _zeros(hashes << np.uint64(_BITS), 64 - _BITS)
        np.maximum.at(self._registers, (hashes >> np.uint64(64 - _BITS)).astype("i8"), ranks)

    def shrink(self) -> None:
        """Give up exact counting if it needs much memory: more of the same may follow."""
        if len(self._values) > _COUNTED:
            values, self._values = self._values, np.zeros(0, "u8")
            self._registers = np.zeros(_REGISTERS, "u1")
            self.add(values)

    def __len__(self) -> int:
        if self._registers is None:
            return len(self._values)
        return estimated(self._registers)


def estimated(registers: NDArray[np.uint8]) -> int:
    """Number of keys, from these registers: HyperLogLog (Flajolet et al., 2007)."""
    count = len(registers)
    estimate = 0.7213 / (1 + 1.079 / count) * count**2 / float(np.sum(2.0 ** -registers.astype(float)))
    free = count - int(np.count_nonzero(registers))
    if estimate <= 2.5 * count and free:  # the paper's correction for few keys
        estimate = count * math.log(count / free)
    return round(estimate)


def _zeros(values: NDArray[np.uint64], most: int) -> NDArray[np.uint8]:
    """Leading zero bits of each value, at most `most`."""
    _, exponents = np.frexp(values.astype("f8"))  # 0 of 0
    found: NDArray[np.uint8] = np.minimum(64 - exponents, most).astype("u1")
    return found
