"""Count the packets of any number of files in one pass, in limited memory.

Flows are kept in a table. When it is full, its records are handed over and the table starts empty, so a
continuing flow has several records, as in NetFlow. Addresses are summed up from those records. If their table
is full, the smaller half is dropped, and the result says so.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgecap.packets.columns import Batch, Interface, Rows
from edgecap.packets.inspection import NO_TIME
from edgecap.packets.native import tally, text
from edgecap.packets.verdict.distinct import estimated
from edgecap.packets.verdict.gather import EvidenceTable

_PAIR: Final = np.dtype([("packets", "u8"), ("bytes", "u8")])
SUFFIX: Final = np.dtype(
    [
        ("hash", "u8"),
        ("queries", "u8"),
        ("text", f"S{tally.SUFFIX_TEXT}"),
        ("registers", "u1", (tally.SUFFIX_REGISTERS,)),
    ]
)
"""Queries for names below one domain."""

NAMES: Final = np.dtype(
    [
        ("queries", "u8"),
        ("answers", "u8"),
        ("failed", "u8"),  # answers with NXDOMAIN
        ("named", "u8"),  # queries whose name was captured
        ("registers", "u1", (tally.NAME_REGISTERS,)),
        ("suffix", SUFFIX, (tally.SUFFIXES,)),
    ]
)
"""DNS messages over UDP, to and from port 53."""

TUNNEL_END: Final = np.dtype([("address", "u1", (16,)), ("packets", "u8")])

COUNTS: Final = np.dtype(
    [
        ("packets", "u8"),
        ("wire", "u8"),
        ("captured", "u8"),
        ("untimed", "u8"),  # packets without a time
        (
            "samples",
            "u8",
        ),  # packets that were kept; other counts are of what they stand for (`Interface.weight`)
        ("squares", "f8"),  # the sum of their squared weights
        ("first", "i8"),  # nanoseconds since 1970; later than `last` if no packet has a time
        ("last", "i8"),
        ("smallest", "u8"),
        ("largest", "u8"),
        ("version", _PAIR, (3,)),  # IPv4, IPv6, anything else
        ("protocol", _PAIR, (256,)),
        ("tunnel", _PAIR, (256,)),
        ("tcp_flags", _PAIR, (256,)),
        ("icmp4", _PAIR, (256,)),
        ("icmp6", _PAIR, (256,)),
        ("ether", _PAIR, (65_536,)),  # of what is not IP
        ("link", _PAIR, (tally.LINKS,)),  # of link types that are not parsed; the last: that or more
        ("vlan", "u8", (4_096,)),
        ("ttl", "u8", (256,)),
        ("size", "u8", (tally.LONGEST + 1,)),  # by bytes on the wire; the last: that or more
        ("fragments", "u8"),
        ("later", "u8"),  # fragments other than the first
        ("options", "u8"),
        ("cut", "u8"),
        ("flows", "u8"),  # in the table
        ("width", "i8"),  # of a bin of the timeline, nanoseconds
        ("base", "i8"),  # the first bin begins at this times the width
        ("level", "u8"),
        ("bins", "u8"),  # in use
        ("names", NAMES),
        ("tunnel_ends", TUNNEL_END, (tally.ENDS,)),  # outer destinations
        ("tunnel_sources", "u1", (tally.SUFFIX_REGISTERS,)),
    ]
)
"""Counts over all packets."""

BIN: Final = np.dtype([("packets", "u8"), ("bytes", "u8"), ("tcp", "u8"), ("udp", "u8"), ("icmp", "u8")])
"""One step of the timeline."""

FLOW: Final = np.dtype(
    [
        ("source", "u1", (16,)),  # an IPv4 address is mapped, as in `columns`
        ("destination", "u1", (16,)),
        ("source_port", "u2"),  # of ICMP: the type
        ("destination_port", "u2"),  # of ICMP: the code
        ("protocol", "u1"),
        ("version", "u1"),
        ("tunnel", "u1"),  # of the outermost tunnel, as in `HEADERS`
        ("ports", "u1"),  # 1 with ports, or a type and code; 0 in later fragments, or if cut off
        ("packets", "u8"),  # that its samples stand for, where an interface has a weight
        ("bytes", "u8"),
        ("samples", "u8"),  # packets that were kept
        ("first", "i8"),  # later than `last` if no packet has a time
        ("last", "i8"),
        ("fragments", "u4"),
        ("tcp_flags", "u1"),  # the union of all packets' flags
        ("ttl_low", "u1"),
        ("ttl_high", "u1"),
        ("signs", "u1"),  # of any of its packets: `PAYLOAD`, `BARE_SYN`, `NO_OPTIONS`
    ]
)
"""A record of a flow."""


TALKER: Final = np.dtype([("address", "u1", (16,)), ("packets", "u8"), ("bytes", "u8"), ("flows", "u8")])
"""An address on one side of flows."""

_BUILT = (tally.COUNTS_SIZE, tally.BIN_SIZE, tally.FLOW_SIZE, tally.TALKER_SIZE, text.FLOW_SIZE)
if (COUNTS.itemsize, BIN.itemsize, FLOW.itemsize, TALKER.itemsize, FLOW.itemsize) != _BUILT:
    raise ImportError("edgecap.packets.native.tally or text was built from another version; run `make setup`")

FLOWS = 1 << 17  # records in the table: 10 MB
TALKERS = 1 << 17  # addresses on one side: 5 MB
_BINS = 1 << 17  # a second each for a day, or a millisecond each for two minutes
TOP_FLOWS = 20
_TCP, _UDP = 6, 17
LATEST: Final = (1 << 63) - 1  # nanoseconds since 1970 that a row can hold

OnFlows = Callable[[Rows], None]


class Addresses:
    """The addresses on one side of flows.

    Args:
        destination: the side.
        seed: of the hash, secret.
        room: maximum addresses at a time.
    """

    def __init__(self, *, destination: bool, seed: int, room: int = TALKERS) -> None:
        self.exact = True
        self._destination = destination
        self._seed = seed
        self._table = np.empty(room, TALKER)
        self._index = np.zeros(_index_size(room), "u8")
        self._registers = np.zeros(tally.REGISTERS, "u1")
        self._used = 0

    def __repr__(self) -> str:
        return f"<Addresses [{self._used} held{'' if self.exact else ', not exact'}]>"

    def gather(self, flows: Rows) -> None:
        """Add these records."""
        done = 0
        while True:
            done, self._used = tally.gather(
                flows,
                done,
                self._destination,
                self._table,
                self._used,
                self._index,
                self._registers,
                self._seed,
            )
            if done == len(flows):
                return
            self._forget()

    def _forget(self) -> None:
        """Keep the larger half. A dropped address that comes again is counted from zero."""
        self.exact = False
        half = self._used // 2
        order = np.argpartition(self._table["packets"][: self._used], self._used - half - 1)
        # In the table's order, so that memory is read from front to back.
        self._table[:half] = self._table[np.sort(order[self._used - half :])]
        self._used = half
        tally.reindex(self._table, half, self._index, self._seed)

    def distinct(self) -> int:
        """Number of different addresses; an estimate within a few per cent if not `exact`."""
        return self._used if self.exact else max(self._used, estimated(self._registers))

    def rows(self) -> Rows:
        """All `TALKER`s, in no order."""
        return self._table[: self._used]

    def top(self, count: int) -> Rows:
        """The `TALKER`s with the most packets, in that order; then by bytes."""
        return largest(self._table[: self._used], count, "packets", "bytes")


@dataclass(slots=True)
class PortCounts:
    """Packets and bytes by port of one protocol, on one side, of packets with known ports."""

    packets: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(65_536, "u8"))
    bytes: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(65_536, "u8"))

    def gather(self, ports: NDArray[Any], packets: NDArray[Any], size: NDArray[Any]) -> None:
        """Add counts."""
        np.add.at(self.packets, ports, packets)
        np.add.at(self.bytes, ports, size)


class FlowTable:
    """Counts packets in batches, of any number of files.

    Args:
        on_flows: gets `FLOW` records each time the table is full and once at the end; it may keep them.
        room: maximum flows in the table, and addresses on each side; smaller only in tests.
    """

    def __init__(self, on_flows: OnFlows | None = None, *, room: int = FLOWS) -> None:
        self._on_flows = on_flows
        self._seed = int.from_bytes(os.urandom(8), "little")
        self._counts = np.zeros(1, COUNTS)
        self._counts["width"] = tally.BASE_WIDTH
        self._counts["first"], self._counts["last"] = LATEST, NO_TIME
        self._bins = np.zeros(_BINS, BIN)
        self._flows = np.empty(room, FLOW)
        self._index = np.zeros(_index_size(room), "u8")
        self._links = np.zeros(0, "u4")
        self._weights = np.zeros(0, "u4")
        self.sources = Addresses(destination=False, seed=self._seed, room=min(room, TALKERS))
        self.destinations = Addresses(destination=True, seed=self._seed, room=min(room, TALKERS))
        # By protocol, then by side: sources, destinations.
        self.ports = {protocol: (PortCounts(), PortCounts()) for protocol in (_TCP, _UDP)}
        self.evidence = EvidenceTable()
        self.records = 0
        self.drains = 0
        self._registers = np.zeros(tally.REGISTERS, "u1")
        self._top: Rows = np.empty(0, FLOW)

    def __repr__(self) -> str:
        return f"<FlowTable [{self.packets} packets, {self.records + int(self._counts['flows'][0])} flows]>"

    @property
    def packets(self) -> int:
        """Packets so far."""
        return int(self._counts["packets"][0])

    @property
    def samples(self) -> int:
        """Packets that were kept so far; less than `packets` if an interface has a weight."""
        return int(self._counts["samples"][0])

    @property
    def weight(self) -> float | None:
        """How many packets a sample stands for, so that sums have the right interval; None without weights.

        Of samples with different weights, it is the mean of the weights, weighted by themselves.
        """
        counts = self._counts[0]
        packets = int(counts["packets"])
        return float(counts["squares"]) / packets if packets > int(counts["samples"]) else None

    @property
    def counts(self) -> Any:
        """The one record of `COUNTS`."""
        return self._counts[0]

    def feed(self, batch: Batch, interfaces: Sequence[Interface]) -> None:
        """Count the packets of a batch.

        Args:
            batch: from a reader.
            interfaces: that reader's, by the numbers in the batch's rows.
        """
        links = [each.link_type for each in interfaces]
        if len(links) != len(self._links) or links != self._links.tolist():
            self._links = np.array(links, "u4")
        weights = [each.weight for each in interfaces]
        if len(weights) != len(self._weights) or weights != self._weights.tolist():
            self._weights = np.array(weights, "u4")
        done = 0
        while True:
            done = tally.tally(
                batch.data,
                batch.rows,
                done,
                self._links,
                self._weights,
                self._counts,
                self._bins,
                self._flows,
                self._index,
                self._seed,
            )
            if done == len(batch.rows):
                return
            self._drain()

    def finish(self) -> None:
        """Hand over the remaining flows. No counting after this."""
        self._drain()

    def bins(self) -> Rows:
        """The steps of the timeline, from `counts["base"]` on."""
        return self._bins[: int(self._counts["bins"][0])]

    def top_flows(self) -> Rows:
        """The `FLOW` records with the most bytes, in that order."""
        return self._top

    def distinct_flows(self) -> int:
        """Number of different flows; an estimate within a few per cent if not `exact_flows`."""
        return self.records if self.exact_flows else min(self.records, estimated(self._registers))

    @property
    def exact_flows(self) -> bool:
        """Whether each flow has exactly one record."""
        return self.drains <= 1

    def _drain(self) -> None:
        used = int(self._counts["flows"][0])
        if not used:
            return
        flows = self._flows[:used]
        self.records += used
        self.drains += 1
        tally.mark(flows, self._registers)
        self.sources.gather(flows)
        self.destinations.gather(flows)
        for protocol, (sources, destinations) in self.ports.items():
            mine = np.flatnonzero((flows["protocol"] == protocol) & (flows["ports"] == 1))
            packets, size = flows["packets"][mine], flows["bytes"][mine]
            sources.gather(flows["source_port"][mine], packets, size)
            destinations.gather(flows["destination_port"][mine], packets, size)
        self.evidence.feed(flows if self.weight is None else _as_samples(flows))
        best = largest(flows, TOP_FLOWS, "bytes", "packets")
        self._top = largest(np.concatenate([self._top, best]), TOP_FLOWS, "bytes", "packets")
        if self._on_flows:
            self._on_flows(flows)
        self._counts["flows"] = 0
        self._index[:] = 0


def largest(rows: Rows, count: int, first: str, then: str) -> Rows:
    """The `count` rows with the most of `first`, then of `then`, in that order."""
    if len(rows) > count:
        edge = np.partition(rows[first], len(rows) - count)[len(rows) - count]
        rows = rows[rows[first] >= edge]
    order = np.lexsort((rows[then], rows[first]))[::-1][:count]
    return rows[order]


def _as_samples(flows: Rows) -> Rows:
    """Records of the packets that were kept: signs such as a flow's single packet are of those."""
    kept = flows.copy()
    samples = flows["samples"]
    kept["bytes"] = flows["bytes"] / np.maximum(flows["packets"], 1) * samples
    kept["fragments"] = flows["fragments"] / np.maximum(flows["packets"], 1) * samples
    kept["packets"] = samples
    return kept


def _index_size(room: int) -> int:
    """A power of two that leaves half of an index free, so that lookups are fast."""
    return 1 << (math.ceil(math.log2(max(room, 1))) + 1) if room > 1 else 8
