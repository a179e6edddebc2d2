"""The interface of the simulated edge's traffic: packets with a time, a place and a server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet at a server of the edge.

    Attributes:
        time_ns: nanoseconds since 1970 UTC.
        data: the whole link layer frame.
        server: the physical server's name, such as `ord02-s3`.
        dropped_by: the `mitigation.Rule` that drops it before any capture sees it; None: it passes.
    """

    time_ns: int
    data: bytes
    server: str
    dropped_by: Any = None


class Traffic(Protocol):
    """A source of packets for any window that it remembers.

    The same window always gives the same packets. Times are the simulator's clock, which may be faster than
    real time.
    """

    link_type: int
    """The `LINKTYPE_` number of the frames, as in a pcap header; 1 is Ethernet."""

    def servers(self, colo: str) -> list[str]:
        """The physical servers of a data centre (`ord02`) or a city (`ORD`); empty if unknown."""
        ...

    def packets(self, start: datetime, end: datetime, *, colo: str | None = None) -> Iterator[Packet]:
        """Packets with `start <= time < end`, in order of time, at `colo` (case-blind) or everywhere."""
        ...

    def close(self) -> None:
        """Stop capturing, and close sockets and files."""
        ...
