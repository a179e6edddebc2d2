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
    "mad01": 2,
    "mxp01": 2,
    "zrh01": 2,
    "vie01": 2,
    "waw01": 2,
    "arn01": 2,
    "dub01": 2,
    "atl01": 2,
    "mia01": 2,
    "sea01": 2,
    "lax01": 2,
    "yyz01": 2,
    "hkg01": 2,
    "icn01": 2,
    "bom01": 2,
    "jnb01": 2,
    "eze01": 2,
    "dxb01": 2,
}
_CITY_LETTERS = 3
_BUSY_CITY, _BUSY, _QUIET = "ORD", 1.0, 0.3
_FIRST_OF_THE_REST = "mad01"

PLACES = {
    "ORD": ("Chicago", "US"),
    "AMS": ("Amsterdam", "NL"),
    "FRA": ("Frankfurt", "DE"),
    "LHR": ("London", "GB"),
    "CDG": ("Paris", "FR"),
    "SIN": ("Singapore", "SG"),
    "NRT": ("Tokyo", "JP"),
    "IAD": ("Ashburn", "US"),
    "DFW": ("Dallas", "US"),
    "SJC": ("San Jose", "US"),
    "GRU": ("São Paulo", "BR"),
    "SYD": ("Sydney", "AU"),
    "MAD": ("Madrid", "ES"),
    "MXP": ("Milan", "IT"),
    "ZRH": ("Zürich", "CH"),
    "VIE": ("Vienna", "AT"),
    "WAW": ("Warsaw", "PL"),
    "ARN": ("Stockholm", "SE"),
    "DUB": ("Dublin", "IE"),
    "ATL": ("Atlanta", "US"),
    "MIA": ("Miami", "US"),
    "SEA": ("Seattle", "US"),
    "LAX": ("Los Angeles", "US"),
    "YYZ": ("Toronto", "CA"),
    "HKG": ("Hong Kong", "HK"),
    "ICN": ("Seoul", "KR"),
    "BOM": ("Mumbai", "IN"),
    "JNB": ("Johannesburg", "ZA"),
    "EZE": ("Buenos Aires", "AR"),
    "DXB": ("Dubai", "AE"),
}
"""Every city's code, with its name and its country's code."""

METRO_CODES = {
    "ORD": "CHI",
    "LHR": "LON",
    "CDG": "PAR",
    "NRT": "TYO",
    "IAD": "WAS",
    "GRU": "SAO",
    "MXP": "MIL",
    "ARN": "STO",
    "YYZ": "YTO",
    "ICN": "SEL",
    "EZE": "BUE",
}
"""The codes of cities with several airports, where they differ from the map's; no capture accepts them."""

ALL_SERVERS = tuple(f"{colo}-s{number + 1}" for colo, count in _SERVERS_IN.items() for number in range(count))
"""Every physical server, such as `ord02-s3`, in the map's order."""

CITIES = tuple(PLACES)
"""Every city's code, such as `ORD`: 30 of them."""

DATA_CENTRES = tuple(_SERVERS_IN)
"""Every data centre, such as `ord02`."""

USUAL_WEIGHTS = {
    server: _BUSY if server.upper().startswith(_BUSY_CITY) else _QUIET
    for server in ALL_SERVERS[: ALL_SERVERS.index(f"{_FIRST_OF_THE_REST}-s1")]
}
"""The servers that have traffic while it is not spread over all cities, each with its part of the rate."""


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


def macs(server: str) -> bytes:
    """Destination and source MAC of the frames that arrive at a server of the map, 12 bytes."""
    return b"\2\0\0\0\1" + bytes([ALL_SERVERS.index(server)]) + b"\2\0\0\0\2\1"
