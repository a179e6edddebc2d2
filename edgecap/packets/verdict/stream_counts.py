"""What is counted of one stream: sums, different values, and the most frequent ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecap.packets.columns import Rows
from edgecap.packets.verdict.addresses import Addresses
from edgecap.packets.verdict.distinct import Distinct
from edgecap.packets.verdict.kind import Kind
from edgecap.packets.verdict.kinds import BARE_SYN, NO_OPTIONS, PAYLOAD

if TYPE_CHECKING:
    from edgecap.packets.verdict.evidence import Stream, Top

_KEPT = 32  # values of a list of frequent ones
_SHOWN = 3
_SMALL = 2  # bytes of a value: then all are counted in one array
_GROUP_BITS = 14
_SMALL_PACKET = 120  # bytes on the wire: headers with options, and some 50 bytes
_UNIX_TTL = 64  # with which Linux, Android, the BSDs and Apple's systems start
# Hops take at most 40 of the 64, 128 or 255 that systems start with; traceroute starts with less than 24.
_POSSIBLE_TTL = np.zeros(256, bool)
_POSSIBLE_TTL[:65] = _POSSIBLE_TTL[88:129] = _POSSIBLE_TTL[200:] = True


class Frequent:
    """The most frequent values of a stream."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}

    def add(self, values: NDArray[Any], packets: NDArray[np.int64]) -> None:
        """Add values with their packets."""
        if values.dtype.itemsize <= _SMALL:
            every = np.bincount(values, weights=packets)
            found = np.flatnonzero(every)
            sums = every[found].astype("i8")
        else:
            # Only values in the fullest of many groups can be frequent.
            group = (values >> np.uint64(64 - _GROUP_BITS)).astype("i8")
            full = np.bincount(group, weights=packets, minlength=1 << _GROUP_BITS)
            likely = full[group] >= np.partition(full, -_KEPT)[-_KEPT]
            found, places = np.unique(values[likely], return_inverse=True)
            sums = np.bincount(places, weights=packets[likely]).astype("i8")
        if len(found) > _KEPT:
            best = np.argpartition(sums, len(sums) - _KEPT)[-_KEPT:]
            found, sums = found[best], sums[best]
        for value, count in zip(found.tolist(), sums.tolist(), strict=True):
            self.counts[value] = self.counts.get(value, 0) + count
        if len(self.counts) > _KEPT * 8:
            self.counts = dict(sorted(self.counts.items(), key=lambda each: -each[1])[: _KEPT * 4])

    def top(self, most: int = _SHOWN) -> tuple[Top, ...]:
        """The largest, the largest first."""
        from edgecap.packets.verdict.evidence import Top  # noqa: PLC0415 - counting must not wait for the models

        best = sorted(self.counts.items(), key=lambda each: (-each[1], each[0]))[:most]
        return tuple(Top(value=value, packets=packets) for value, packets in best)


class StreamCounts:
    """Counts of one stream."""

    def __init__(self, kind: Kind, port: int) -> None:
        self._kind, self._port = kind, port
        self.packets = 0
        self._sums = dict.fromkeys(
            (
                "bytes", "flows", "answered", "single", "payload", "bare", "slow", "small", "impossible",
                "odd_ttl", "low_ttl", "no_options",
            ), 0,
        )  # fmt: skip
        names = ("sources", "destinations", "networks", "source_ports", "destination_ports")
        self._distinct = {name: Distinct() for name in names}
        self._ttls, self._sizes = Frequent(), Frequent()
        self._from, self._to = Frequent(), Frequent()
        self._senders, self._slow_senders = Frequent(), Frequent()
        self._small_senders, self._small_sizes = Frequent(), Frequent()
        self._spread = np.zeros(8, "i8")

    def __repr__(self) -> str:
        return f"<StreamCounts {self._kind} [{self.packets} packets]>"

    def add(
        self,
        flows: Rows,
        sources: Addresses,
        source: NDArray[np.uint64],
        destination: NDArray[np.uint64],
        paired: Any,
    ) -> None:
        """Add flows.

        Args:
            flows: `FLOW` records.
            sources: their source addresses.
            source: a hash of each one's source address.
            destination: likewise.
            paired: whether each has an opposite flow.
        """
        packets = flows["packets"].astype("i8")
        size = flows["bytes"].astype("i8")
        mean = np.minimum(size // np.maximum(packets, 1), 65_535).astype("u2")
        self.packets += int(packets.sum())
        ttl, signs, lasting = np.ascontiguousarray(flows["ttl_high"]), flows["signs"], slow(flows)
        low, little = ttl <= _UNIX_TTL, small(flows, mean)
        for name, value in (
            ("bytes", size.sum()),
            ("flows", len(flows)),
            ("answered", packets[paired].sum()),
            ("single", np.count_nonzero(packets == 1)),
            ("payload", packets[(signs & PAYLOAD) != 0].sum()),
            ("bare", packets[(signs & BARE_SYN) != 0].sum()),
            ("slow", np.count_nonzero(lasting)),
            ("small", packets[little].sum()),
            ("impossible", packets[sources.are_impossible].sum()),
            ("odd_ttl", packets[~_POSSIBLE_TTL[ttl]].sum()),
            ("low_ttl", packets[low].sum()),
            ("no_options", packets[low & ((signs & NO_OPTIONS) != 0)].sum()),
        ):
            self._sums[name] += int(value)
        self._distinct["sources"].add(source)
        self._distinct["destinations"].add(destination)
        self._distinct["networks"].add(sources.masked(16, 32).hashes)
        ports = flows["ports"] == 1
        if self._kind not in (Kind.ECHO, Kind.ECHO_REPLY, Kind.ICMP, Kind.PROTOCOL) and ports.any():
            sides = (("source_port", self._from), ("destination_port", self._to))
            for name, frequent in sides:
                numbers = flows[name][ports]
                frequent.add(numbers, packets[ports])
                self._distinct[f"{name}s"].add(numbers.astype("u8") * np.uint64(0x9E3779B97F4A7C15))
            self._spread += np.bincount(
                flows["destination_port"][ports] >> 13, weights=packets[ports], minlength=8
            ).astype("i8")
        if self._kind is Kind.PROTOCOL:
            self._to.add(flows["protocol"].astype("u2"), packets)
            self._distinct["destination_ports"].add(flows["protocol"].astype("u8"))
        self._ttls.add(ttl, packets)
        self._sizes.add(mean, packets)
        self._senders.add(source, packets)
        if lasting.any():
            self._slow_senders.add(source[lasting], np.ones(np.count_nonzero(lasting), "i8"))
        if little.any():
            self._small_senders.add(source[little], np.ones(np.count_nonzero(little), "i8"))
            self._small_sizes.add(mean[little], packets[little])

    def shrink(self) -> None:
        """Use less memory, since more flows will come."""
        for each in self._distinct.values():
            each.shrink()

    def stream(self) -> Stream:
        """What was counted."""
        from edgecap.packets.verdict.evidence import Stream  # noqa: PLC0415 - counting must not wait for the models

        top_ttl, top_size = self._ttls.top(1), self._sizes.top(1)
        top_small = self._small_sizes.top(1)
        senders = self._senders.top(1)
        return Stream(
            kind=self._kind,
            port=self._port,
            packets=self.packets,
            largest_source=senders[0].packets if senders else 0,
            slow_of_one=max(self._slow_senders.counts.values(), default=0),
            small_of_one=max(self._small_senders.counts.values(), default=0),
            top_small_size=top_small[0] if top_small else None,
            ttls=len(self._ttls.counts),
            top_ttl=top_ttl[0] if top_ttl else None,
            sizes=len(self._sizes.counts),
            top_size=top_size[0] if top_size else None,
            top_source_ports=self._from.top(),
            top_destination_ports=self._to.top(),
            port_spread=tuple(self._spread.tolist()),
            **self._sums,
            **{name: len(each) for name, each in self._distinct.items()},
        )


def slow(flows: Rows) -> NDArray[np.bool_]:
    """TCP flows that last five seconds or more, carry at most two small packets a second, and do not end."""
    flags, packets = flows["tcp_flags"], flows["packets"]
    found: NDArray[np.bool_] = (
        (packets >= 3)  # noqa: PLR2004
        & (flows["protocol"] == 6)  # noqa: PLR2004 - TCP
        & (flags & 21 == 16)  # noqa: PLR2004 - ACK, and neither FIN nor RST
    )
    at = np.flatnonzero(found)  # few of a flood: the rest is looked at only for them
    some, count = flows[at], packets[at].astype("f8")
    seconds = (some["last"] - some["first"]) / 1e9
    found[at] = (seconds >= 5) & (count <= 2 * seconds) & (some["bytes"] <= 300 * count)  # noqa: PLR2004
    return found


def small(flows: Rows, mean: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Flows in the midst of a TCP connection whose packets carry a few bytes each.

    Args:
        flows: `FLOW` records.
        mean: bytes of a packet of each, on the wire.
    """
    found: NDArray[np.bool_] = (
        (flows["protocol"] == 6)  # noqa: PLR2004 - TCP
        & (flows["tcp_flags"] & 23 == 16)  # noqa: PLR2004 - ACK, and neither FIN, SYN nor RST
        & ((flows["signs"] & PAYLOAD) != 0)
        & (mean <= _SMALL_PACKET)
    )
    return found
