"""The simulated edge's map: cities, their data centres, and the physical servers in each.

The three letters are the airport codes that Cloudflare uses. A city's code alone (`ORD`) means all of its
data centres (`ord01`, `ord02`, ...).
"""

from __future__ import annotations

_SERVERS_IN = {
    "ord01": 3,
    "ord02": 3,
    "ord03": 2,
    "ams01": 3,
    "ams02": 2,
    "fra01": 3,
    "lhr01": 2,
    "lhr02": 2,
    "cdg01": 2,
    "sin01": 2,
    "nrt01": 2,
    "iad01": 4,
    "iad02": 2,
    "dfw01": 2,
    "sjc01": 2,
    "gru01": 2,
    "syd01": 2,
}
_CITY_LETTERS = 3

ALL_SERVERS = tuple(f"{colo}-s{number + 1}" for colo, count in _SERVERS_IN.items() for number in range(count))
"""Every physical server, such as `ord02-s3`, in the map's order."""

CITIES = tuple(dict.fromkeys(colo[:_CITY_LETTERS].upper() for colo in _SERVERS_IN))
"""Every city's code, such as `ORD`."""

DATA_CENTRES = tuple(_SERVERS_IN)
"""Every data centre, such as `ord02`."""


def servers(colo: str | None) -> list[str]:
    """The physical servers of a data centre (`ord02`), of a city (`ORD`), or all for None.

    Case does not matter. Empty for an unknown place.
    """
    if colo is None:
        return list(ALL_SERVERS)
    name = colo.lower()
    if name in _SERVERS_IN or name.upper() in CITIES:
        return [server for server in ALL_SERVERS if server.startswith(name)]
    return []


def city(server: str) -> str:
    """The city that a server of the map is in, such as `ORD` for `ord02-s3`."""
    return server[:_CITY_LETTERS].upper()
