"""One sampled packet, as a row of Network Analytics."""

from __future__ import annotations

from functools import cached_property, lru_cache
from ipaddress import ip_address

from edgecap.simulator.traffic import colos
from edgecap.simulator.traffic.base import Packet
from edgecap.simulator.traffic.counted import Columns, Source
from edgecap.simulator.traffic.dissect import Headers, headers
from edgecap.simulator.traffic.mitigation import Rule, reason


@lru_cache(maxsize=8192)
def written(packed: bytes) -> str:
    """An address as people write it."""
    return str(ip_address(packed))


class Row:
    """A sampled packet. Its frame is made only if it is asked for.

    Args:
        source: where it comes from.
        columns: the sample.
        number: its position there.
        weight: how many packets it stands for.
    """

    def __init__(self, source: Source, columns: Columns, number: int, weight: int) -> None:
        self.source = source
        self._columns = columns
        self._number = number
        self.weight = weight
        self.time_ns = int(columns.time_ns[number])
        self._shape = int(columns.shape[number])

    def __repr__(self) -> str:
        return f"<Row {self.time_ns} {self.colo} {self.target} [{self.rule.system if self.rule else 'pass'}]>"

    @property
    def server(self) -> str:
        """The physical server, such as `ord02-s3`."""
        return colos.ALL_SERVERS[int(self._columns.server[self._number])]

    @property
    def colo(self) -> str:
        """The city's code, such as `ORD`."""
        return colos.city(self.server)

    @property
    def rule(self) -> Rule | None:
        """The rule that dropped it; None: it passed."""
        number = int(self._columns.rule[self._number])
        return self.source.rules[number - 1] if number else None

    @property
    def mark(self) -> int:
        """Its mark, which decides in which samples it is."""
        return int(self._columns.mark[self._number])

    @property
    def reason(self) -> str:
        """Why it was dropped, or empty."""
        return reason(self.rule, self.mark) if self.rule else ""

    @property
    def bits(self) -> int:
        """The size of the IP packet."""
        return int(self.source.recipes.bits[self._shape])

    @property
    def protocol(self) -> int:
        """The number of its IP protocol."""
        return int(self.source.recipes.protocol[self._shape])

    @property
    def target(self) -> str:
        """Its destination address."""
        recipes = self.source.recipes
        return written(recipes.targets[int(recipes.target[self._shape])])

    @cached_property
    def packet(self) -> Packet:
        """The packet itself, as a capture would have it."""
        [packet] = self.source.packets(self._columns.at(self._number))
        return packet

    @cached_property
    def headers(self) -> Headers:
        """Its addresses and ports."""
        found = headers(self.packet.data)
        assert found is not None, "all synthetic packets are IP"
        return found
