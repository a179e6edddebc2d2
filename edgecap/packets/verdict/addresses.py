"""Columns of addresses as pairs of numbers: what holds for each of them, all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgecap.packets.verdict.kinds import hashed

_MAPPED = np.uint64(0xFFFF)
_LAST4 = np.uint64(0xFFFF_FFFF)
_BITS = 64


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of 16 bytes; those of IPv4 are mapped, as in `columns`.

    Attributes:
        high: the first eight bytes of each, as a number.
        low: the last eight.
    """

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]

    @classmethod
    def of(cls, packed: NDArray[Any]) -> Self:
        """From rows of 16 bytes."""
        pairs = np.ascontiguousarray(packed).view(">u8").reshape(-1, 2)
        return cls(pairs[:, 0].astype("u8"), pairs[:, 1].astype("u8"))

    def take(self, which: NDArray[Any]) -> Addresses:
        """Some of them, by index or by mask."""
        return Addresses(self.high[which], self.low[which])

    def packed(self, at: int) -> bytes:
        """The 16 bytes of one."""
        return int(self.high[at]).to_bytes(8, "big") + int(self.low[at]).to_bytes(8, "big")

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """A number for each."""
        return hashed(self.high, self.low)

    @property
    def are_ipv4(self) -> NDArray[np.bool_]:
        """Which of them are IPv4."""
        found: NDArray[np.bool_] = (self.high == 0) & (self.low >> np.uint64(32) == _MAPPED)
        return found

    @property
    def are_groups(self) -> NDArray[np.bool_]:
        """Multicast and broadcast addresses, which no single host has."""
        first4, first6 = (self.low & _LAST4) >> np.uint64(24), self.high >> np.uint64(56)
        return np.where(self.are_ipv4, first4 >= 224, first6 == 0xFF)  # noqa: PLR2004

    @property
    def are_impossible(self) -> NDArray[np.bool_]:
        """Sources that no host has: 0/8, 127/8, 224/3; of IPv6, outside 2000::/3, unless local."""
        last4, first6 = self.low & _LAST4, self.high >> np.uint64(56)
        first4 = last4 >> np.uint64(24)
        bad4 = (first4 == 0) | (first4 == 127) | (first4 >= 224)  # noqa: PLR2004
        bad6 = (first6 >> np.uint64(5) != 1) & (first6 < 0xFC) & (first6 != 0)  # noqa: PLR2004
        found: NDArray[np.bool_] = np.where(self.are_ipv4, bad4, bad6) & (last4 != 0)  # not 0.0.0.0, nor ::
        return found

    def masked(self, bits4: int, bits6: int) -> Addresses:
        """Their networks: of IPv4 with so many bits, of IPv6 with so many, 64 at most."""
        four = self.are_ipv4
        mask4 = ~np.uint64((1 << (32 - bits4)) - 1)
        mask6 = ~np.uint64((1 << (_BITS - bits6)) - 1)
        return Addresses(
            np.where(four, self.high, self.high & mask6), np.where(four, self.low & mask4, np.uint64(0))
        )
