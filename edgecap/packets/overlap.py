"""The sampling of a sampled capture, estimated from a full one of the same time.

A sampled capture comes from all data centres, a full one from one of them. So counts cannot be compared. But
a packet that is in both came through the full capture's place: of the packets there that the sampled capture
could hold, this part was kept. Packets are recognized by what routers leave unchanged in their first bytes:
addresses, lengths, identification, ports, numbers and checksums. Packets that come very often in the same
form, as in some floods, may have come through other places as well, so they do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecap.packets.columns import Batch, Interface, Rows
from edgecap.packets.headers import dissect
from edgecap.packets.inspection import NO_TIME
from edgecap.packets.reader import open_packets
from edgecap.packets.verdict.intervals import Estimate, count
from edgecap.packets.verdict.kinds import hashed
from edgecap.requests import Filter

ENOUGH = 20  # packets in both; fewer say little
_BYTES = 64  # of a packet, from its IP header
_AT_ONCE = 1 << 14  # packets
_COUNTERS = 1 << 24
_OFTEN = 4  # packets of the same form
_CHANGED = {
    4: (1, 8, 10, 11),
    6: (0, 1, 2, 3, 7),
}  # service class, TTL, checksum; class, flow label, hop limit


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two captures have in common.

    Attributes:
        sampling: one packet in so many was kept, with its 95 % interval.
        both: packets that both hold.
        packets: packets of the full capture that the sampled one could hold.
    """

    sampling: Estimate
    both: int
    packets: int

    def words(self, full: str) -> str:
        """What the sampling was estimated from."""
        return f"estimated from {self.both:,} of the {self.packets:,} packets of {full}"


def overlap(sampled: Sequence[Path], full: Sequence[Path], wanted: Filter | None = None) -> Overlap | None:
    """Compare two captures; None if they have too little in common.

    Args:
        sampled: files of a sampled capture.
        full: files of a full capture.
        wanted: what the sampled capture was filtered by.

    Raises:
        ObjectMissing, StoreDenied, StoreUnreachable: a file cannot be read.
    """
    marks, times = _marks_of(sampled)
    if len(marks) < ENOUGH:
        return None
    first, last = int(times.min()), int(times.max())
    kept, each_kept = np.unique(marks, return_counts=True)
    seen = np.zeros(len(kept), "i8")
    counters = np.zeros(_COUNTERS, "u1")
    for batch, interfaces in _batches(full):
        time = batch.rows["time"]
        rows = batch.rows[(time != NO_TIME) & (time >= first) & (time <= last)]
        for found in _marks(Batch(batch.data, rows, batch.offset), interfaces, wanted or Filter()):
            _add(counters, found)
            at = np.searchsorted(kept, found).clip(max=len(kept) - 1)
            hits = at[kept[at] == found]
            np.add.at(seen, hits, 1)
    rare = counters[(kept & np.uint64(_COUNTERS - 1)).astype("i8")] <= _OFTEN
    both = int(np.minimum(each_kept, seen)[rare].sum())
    packets = int(counters[counters <= _OFTEN].sum(dtype="i8"))
    if both < ENOUGH:
        return None
    around = count(both, sampled=True, sampling=packets / both)
    scale = packets / both
    return Overlap(
        Estimate(
            value=scale,
            low=max(1.0, packets * scale / around.high),
            high=packets * scale / around.low,
        ),
        both,
        packets,
    )


def _add(counters: NDArray[np.uint8], marks: NDArray[np.uint64]) -> None:
    """Count marks; a counter stays at its highest value, far above `_OFTEN`."""
    places, counts = np.unique(marks & np.uint64(_COUNTERS - 1), return_counts=True)
    at = places.astype("i8")
    counters[at] = np.minimum(counters[at] + counts, 255)


def _marks_of(paths: Sequence[Path]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    marks, times = [np.zeros(0, "u8")], [np.zeros(0, "i8")]
    for batch, interfaces in _batches(paths):
        rows = batch.rows[batch.rows["time"] != NO_TIME]
        marks += _marks(Batch(batch.data, rows, batch.offset), interfaces, Filter())
        times.append(rows["time"])
    return np.concatenate(marks), np.concatenate(times)


def _batches(paths: Sequence[Path]) -> Iterator[tuple[Batch, Sequence[Interface]]]:
    for path in paths:
        with open_packets(path) as reader:
            for batch in reader:
                yield batch, reader.interfaces


def _marks(batch: Batch, interfaces: Sequence[Interface], wanted: Filter) -> Iterator[NDArray[np.uint64]]:
    """A number for each IP packet that the filter lets through, of what is the same all along its way."""
    data = np.frombuffer(batch.data, "u1")
    for begin in range(0, len(batch.rows), _AT_ONCE):
        rows = batch.rows[begin : begin + _AT_ONCE]
        headers = dissect(Batch(batch.data, rows, batch.offset), interfaces)
        layer = np.where(headers["inner"]["version"] > 0, headers["inner"], headers["outer"])
        mask = (layer["version"] > 0) & _lets_through(headers["outer"], wanted)
        rows, layer, inside = rows[mask], layer[mask], headers["inside"][mask].astype("i8")
        # A short frame is filled up behind the packet.
        length = np.minimum(rows["captured"] - inside, layer["length"].astype("i8"))
        places = (rows["start"] + inside)[:, None] + np.arange(_BYTES)
        held = np.arange(_BYTES) < length[:, None]
        values = np.where(held, data[np.minimum(places, len(data) - 1)], np.uint8(0))
        for version, changed in _CHANGED.items():
            values[np.ix_(layer["version"] == version, changed)] = 0
        yield hashed(*np.ascontiguousarray(values).view("u8").T)


def _lets_through(outer: Rows, wanted: Filter) -> NDArray[np.bool_]:
    found = np.ones(len(outer), bool)
    sides: tuple[tuple[str, Any], ...] = (
        ("source", wanted.source_address),
        ("destination", wanted.destination_address),
    )
    for name, address in sides:
        if address:
            network, mask = _mapped(address)
            found &= ((outer[name] & mask) == network).all(axis=1)
    numbers = (
        ("source_port", wanted.source_port),
        ("destination_port", wanted.destination_port),
        ("protocol", wanted.protocol),
    )
    for name, number in numbers:
        if number is not None:
            found &= outer[name] == number
    return found


def _mapped(address: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An address, or a network, and its mask, as 16 bytes each."""
    network = ip_network(address, strict=False)
    start, ones = (b"", b"") if network.version == 6 else (bytes(10) + b"\xff\xff", b"\xff" * 12)  # noqa: PLR2004
    packed, mask = start + network.network_address.packed, ones + network.netmask.packed
    return np.frombuffer(packed, "u1"), np.frombuffer(mask, "u1")
