"""Where packets arrive: shares of the cities that follow Zipf's law and change slowly."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import pi, sin
from random import Random

import numpy as np
from numpy.typing import NDArray

from edgecap.simulator.traffic import colos
from edgecap.simulator.traffic.attacks import Attack

STEP = 10
"""Seconds for which shares stay the same."""
_EXPONENT = 1.1
_SWING = 0.35  # a city's weight rises and falls by this part of it
_PERIODS = (900.0, 3600.0)  # seconds for that
_FEW = (1, 1, 2, 3, 4, 6, 9, 14, 20, 30)  # cities that an attack reaches

_CITY_OF = {server: colos.CITIES.index(colos.city(server)) for server in colos.ALL_SERVERS}
_SERVERS_IN = np.bincount(list(_CITY_OF.values()), minlength=len(colos.CITIES))
CITY_OF_SERVER = np.array([_CITY_OF[server] for server in colos.ALL_SERVERS])
"""By a server's position in `colos.ALL_SERVERS`, its city's in `colos.CITIES`."""
USUAL = np.array([colos.USUAL_WEIGHTS.get(server, 0.0) for server in colos.ALL_SERVERS])
"""Each server's part of the rate while traffic is not spread."""


class Spread:
    """The shares of the cities for one source of packets.

    Args:
        name: of the source; another name gives another order, other places and other changes.
        places: the number of cities that it reaches, the first of them most.
        first: the city with the largest share; None: by chance.
    """

    def __init__(self, name: str, places: int, *, first: str | None = None) -> None:
        rng = Random(f"spread/{name}")
        cities = list(range(len(colos.CITIES)))
        rng.shuffle(cities)
        if first is not None:
            at = cities.index(colos.CITIES.index(first))
            cities[0], cities[at] = cities[at], cities[0]
        self._cities = cities[:places]
        self._changes = [(rng.uniform(*_PERIODS), rng.uniform(0, 2 * pi)) for _ in self._cities]
        self.at = lru_cache(maxsize=1024)(self._at)
        """The cached `_at`."""

    def __repr__(self) -> str:
        return f"<Spread {', '.join(colos.CITIES[city] for city in self._cities)}>"

    @property
    def cities(self) -> Sequence[str]:
        """The cities that it reaches, the one with the largest share first, changes aside."""
        return [colos.CITIES[city] for city in self._cities]

    def _at(self, step: int) -> NDArray[np.float64]:
        """Each city's share, in the order of `colos.CITIES`, in the `STEP` seconds from `step * STEP` on."""
        shares = np.zeros(len(colos.CITIES))
        for rank, (city, (period, phase)) in enumerate(zip(self._cities, self._changes, strict=True), 1):
            shares[city] = rank**-_EXPONENT * (1 + _SWING * sin(2 * pi * step * STEP / period + phase))
        return np.asarray(shares / shares.sum())

    def weights(self, step: int) -> NDArray[np.float64]:
        """Each server's part of the rate, as in `USUAL` and with the same sum."""
        return np.asarray((self.at(step) / _SERVERS_IN)[CITY_OF_SERVER] * USUAL.sum())


def places_of(attack: Attack, name: str) -> int:
    """The number of cities that an attack reaches."""
    if attack.places is not None:
        return max(1, min(attack.places, len(colos.CITIES)))
    return Random(f"places/{name}").choice(_FEW)
