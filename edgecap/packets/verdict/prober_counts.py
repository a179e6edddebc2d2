"""What is counted of a source that has many flows: which of them are probes, and which are answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecap.packets.columns import Rows
from edgecap.packets.native import text
from edgecap.packets.verdict.addresses import Addresses
from edgecap.packets.verdict.distinct import Distinct
from edgecap.packets.verdict.kind import Kind
from edgecap.packets.verdict.kinds import NAMES, NUMBER
from edgecap.packets.verdict.stream_counts import Frequent, slow

if TYPE_CHECKING:
    from edgecap.packets.verdict.evidence import Prober

_FEW = 3  # packets of a probe: a SYN is repeated
_SEEN = 64  # destinations whose address is remembered
_PROBES = (Kind.SYN, Kind.ODD, Kind.ACK, Kind.FIN, Kind.UDP, Kind.ECHO, Kind.PROTOCOL, Kind.ICMP)
_ANSWERS = (Kind.SYN_ACK, Kind.RST, Kind.ECHO_REPLY, Kind.REPLY)
_UNREACHABLE = (3, 1)  # ICMP and ICMPv6: errors are answers, too
_SYN, _RST, _ACK = 2, 4, 16


def _numbers(kinds: tuple[Kind, ...]) -> list[int]:
    return [NUMBER[kind] for kind in kinds]


class ProberCounts:
    """Counts of one source."""

    def __init__(self) -> None:
        self.packets = self.flows = 0
        self._probes = np.zeros(len(NAMES), "i8")
        self._accepted = self._refused = self._answering = self._slow = 0
        names = ("destinations", "destination_ports", "networks", "source_ports", "protocols")
        self._distinct = {name: Distinct() for name in names}
        self._ports, self._to = Frequent(), Frequent()
        self._addresses: dict[int, bytes] = {}

    def __repr__(self) -> str:
        return f"<ProberCounts [{self.flows} flows]>"

    def add(
        self,
        flows: Rows,
        which: NDArray[np.int64],
        kinds: NDArray[np.uint8],
        destination: NDArray[np.uint64],
        opposite: NDArray[np.int64],
    ) -> None:
        """Add the flows of this source.

        Args:
            flows: all `FLOW` records.
            which: the indices of those of this source.
            kinds: of all flows.
            destination: a hash of each destination address.
            opposite: the index of each flow's opposite, or -1.
        """
        mine, kind, other = flows[which], kinds[which], opposite[which]
        packets = mine["packets"].astype("i8")
        self.packets += int(packets.sum())
        self.flows += len(mine)
        paired = other >= 0
        earlier = paired & (flows["first"][other] < mine["first"])
        # A flow of SYN and RST is a scanner that gives up an accepted connection.
        given_up = (mine["tcp_flags"] & 63 == _SYN | _RST) & (mine["protocol"] == 6)  # noqa: PLR2004
        error = (kind == NUMBER[Kind.ICMP]) & np.isin(mine["source_port"], _UNREACHABLE)
        answer = earlier | error | np.isin(kind, _numbers(_ANSWERS))
        probe = (packets <= _FEW) & ~answer & (np.isin(kind, _numbers(_PROBES)) | given_up)
        self._answering += int(np.count_nonzero(answer))
        self._slow += int(np.count_nonzero(slow(mine)))
        label = np.where(given_up, NUMBER[Kind.SYN], kind)
        self._probes += np.bincount(label[probe], minlength=len(NAMES))
        refused = paired & (kinds[other] == NUMBER[Kind.RST])
        self._refused += int(np.count_nonzero(probe & refused))
        self._accepted += int(np.count_nonzero(probe & paired & ~refused))
        self._distinct["protocols"].add(mine["protocol"].astype("u8"))
        self._look_at(mine[probe], packets[probe], destination[which][probe])

    def _look_at(self, probes: Rows, packets: NDArray[np.int64], destination: NDArray[np.uint64]) -> None:
        if not len(probes):
            return
        ports = probes["ports"] == 1
        to = probes["destination_port"][ports]
        self._distinct["destinations"].add(destination)
        self._distinct["networks"].add(Addresses.of(probes["destination"]).masked(24, 64).hashes)
        self._distinct["destination_ports"].add(
            to.astype("u8") | probes["protocol"][ports].astype("u8") << np.uint64(16)
        )
        self._distinct["source_ports"].add(probes["source_port"][ports].astype("u8"))
        self._ports.add(to, packets[ports]) if len(to) else None
        self._to.add(destination, packets)
        for value in list(self._to.counts)[:_SEEN]:
            if value not in self._addresses:
                at: Any = np.flatnonzero(destination == np.uint64(value))
                if len(at):
                    self._addresses[value] = probes["destination"][at[0]].tobytes()

    def prober(self, address: str) -> Prober:
        """What was counted."""
        from edgecap.packets.verdict.evidence import Prober  # noqa: PLC0415 - counting must not wait for the models

        top = self._to.top(1)
        known = self._addresses.get(top[0].value) if top else None
        return Prober(
            address=address,
            packets=self.packets,
            flows=self.flows,
            destinations=len(self._distinct["destinations"]),
            destination_ports=len(self._distinct["destination_ports"]),
            networks=len(self._distinct["networks"]),
            top_destination=text.addresses(np.frombuffer(known, "u1"), 0, 16, 1)[0] if known else "",
            top_destination_packets=top[0].packets if top else 0,
            source_ports=len(self._distinct["source_ports"]),
            top_destination_ports=self._ports.top(),
            probes={str(NAMES[at]): int(self._probes[at]) for at in np.flatnonzero(self._probes).tolist()},
            protocols=len(self._distinct["protocols"]),
            accepted=self._accepted,
            refused=self._refused,
            answering=self._answering,
            slow=self._slow,
        )
