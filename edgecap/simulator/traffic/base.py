"""What the simulated edge captures from: packets with a time, a place and a server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as it crossed a server of the edge.

    Attributes:
        time_ns: nanoseconds since 1970 UTC.
        data: the link layer frame, whole.
        server: the physical server's name, such as `ord02-s3`.
    """

    time_ns: int
    data: bytes
    server: str


class Traffic(Protocol):
    """A source of packets that can be asked for any window it remembers.

    Asked twice for the same window it yields the same packets. Times are the simulator's clock, which may run
    faster than the wall's.
    """

    link_type: int
    """The `LINKTYPE_` number of the frames, as in a pcap header; 1 is Ethernet."""

    def servers(self, colo: str) -> list[str]:
        """The physical servers of a data centre (`ord02`) or of all of a city's (`ORD`); empty if unknown."""
        ...

    def packets(self, start: datetime, end: datetime, *, colo: str | None = None) -> Iterator[Packet]:
        """Packets with `start <= time < end`, in order of time, at `colo` (case-blind) or everywhere."""
        ...

    def close(self) -> None:
        """Stop capturing and let go of sockets and files."""
        ...
