"""Evidence from flow records, as they leave the flow table: in memory that does not grow with the capture.

Each time the table is emptied, the addresses and prefixes that most packets went to are looked at closely,
and so are the sources with most flows. What was small each time is left out. So the streams of a large
target are complete up to some thousandths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecap.packets.columns import Rows
from edgecap.packets.native import text
from edgecap.packets.verdict.addresses import Addresses
from edgecap.packets.verdict.kinds import NAMES, kinds_of, opposites
from edgecap.packets.verdict.prober_counts import ProberCounts
from edgecap.packets.verdict.stream_counts import StreamCounts

if TYPE_CHECKING:
    from edgecap.packets.verdict.evidence import Prober, Stream, Target

_ADDRESSES, _PREFIXES = 24, 12  # looked at closely each time the table is emptied
_PROBERS = 48
_HELD = 64  # of each, over the whole capture
_SHOWN_ADDRESSES, _SHOWN_PREFIXES, _SHOWN_PROBERS = 10, 6, 10
_STREAMS = 14  # of a target
_LEAST = 0.005  # of packets: a smaller target is left out
_WIDE = 8  # addresses that make a prefix of its own interest
PROBING = 30  # flows of a source that may scan
_BITS4, _BITS6 = 24, 48

Address = bytes
_Index = NDArray[np.int64]


class EvidenceTable:
    """Collects evidence from flow records."""

    def __init__(self) -> None:
        self.flows = 0
        self.paired = 0
        self._kinds = np.zeros(len(NAMES), "i8")
        self._fed = 0
        self._addresses: dict[Address, dict[tuple[int, int], StreamCounts]] = {}
        self._prefixes: dict[Address, dict[tuple[int, int], StreamCounts]] = {}
        self._probers: dict[Address, ProberCounts] = {}

    def __repr__(self) -> str:
        return f"<EvidenceTable [{self.flows} flows, {len(self._addresses)} targets]>"

    def feed(self, flows: Rows) -> None:
        """Add records, each of another flow."""
        if self._fed:
            self._make_room()
        self._fed += 1
        sources, destinations = Addresses.of(flows["source"]), Addresses.of(flows["destination"])
        source, destination = sources.hashes, destinations.hashes
        kinds, ports = kinds_of(flows)
        opposite = opposites(flows, source, destination)
        packets = flows["packets"].astype("i8")
        self.flows += len(flows)
        self.paired += int(np.count_nonzero(opposite >= 0))
        self._kinds += np.bincount(kinds, weights=packets, minlength=len(NAMES)).astype("i8")

        def count(
            table: dict[Address, dict[tuple[int, int], StreamCounts]], name: Address, which: _Index
        ) -> None:
            streams = table.setdefault(name, {})
            which = np.sort(which)  # in order, memory is read faster
            label = kinds[which].astype("i4") << 16 | ports[which]
            several = (label != label[0]).any()
            for value in np.unique(label).tolist() if several else [int(label[0])]:
                mine = which[label == value] if several else which
                key = value >> 16, value & 0xFFFF
                if key not in streams:
                    streams[key] = StreamCounts(NAMES[key[0]], key[1])
                all_of_them = len(mine) == len(flows)
                streams[key].add(
                    flows if all_of_them else flows[mine],
                    sources if all_of_them else sources.take(mine),
                    source[mine],
                    destination[mine],
                    opposite[mine] >= 0,
                )

        single = np.flatnonzero(~destinations.are_groups)
        for which in _largest(destination, packets, single, _ADDRESSES, _LEAST):
            count(self._addresses, destinations.packed(which[0]), which)
        prefixes = destinations.masked(_BITS4, _BITS6)
        for which in _largest(prefixes.hashes, packets, single, _PREFIXES, _LEAST):
            name = prefixes.packed(which[0])
            if name in self._prefixes or _wide(destination[which]):
                count(self._prefixes, name, which)
        ones = np.ones(len(flows), "i8")
        for which in _largest(source, ones, single, _PROBERS, 0, PROBING):
            name = flows["source"][which[0]].tobytes()
            each = self._probers.setdefault(name, ProberCounts())
            each.add(flows, which, kinds, destination, opposite)

    def kinds(self) -> dict[str, int]:
        """Packets by kind."""
        return {
            str(kind): int(self._kinds[number]) for number, kind in enumerate(NAMES) if self._kinds[number]
        }

    def targets(self, sent: Callable[[Address, int], int]) -> tuple[Target, ...]:
        """The largest, addresses before prefixes.

        Args:
            sent: the packets that come from an address or prefix of so many bits of 128.
        """
        addresses = [_target(name, 128, streams, sent) for name, streams in self._addresses.items()]
        prefixes = [
            _target(name, 96 + _BITS4 if _is_ipv4(name) else _BITS6, streams, sent)
            for name, streams in self._prefixes.items()
        ]
        addresses.sort(key=lambda each: -each.packets)
        prefixes.sort(key=lambda each: -each.packets)
        return (*addresses[:_SHOWN_ADDRESSES], *prefixes[:_SHOWN_PREFIXES])

    def probers(self) -> tuple[Prober, ...]:
        """The sources with most probes."""
        made = [each.prober(_texts(name)) for name, each in self._probers.items()]
        made.sort(key=lambda each: -sum(each.probes.values()) - each.slow)
        return tuple(made[:_SHOWN_PROBERS])

    def _make_room(self) -> None:
        for table in (self._addresses, self._prefixes):
            if len(table) > _HELD:
                by_size = sorted(table, key=lambda name: -sum(each.packets for each in table[name].values()))
                for name in by_size[_HELD:]:
                    del table[name]
            for streams in table.values():
                for each in streams.values():
                    each.shrink()
        if len(self._probers) > _HELD * 4:
            by_flows = sorted(self._probers, key=lambda name: -self._probers[name].flows)
            for name in by_flows[_HELD * 2 :]:
                del self._probers[name]


def _largest(
    key: NDArray[np.uint64],
    packets: NDArray[np.int64],
    among: _Index,
    most: int,
    least: float,
    floor: int = 3,
) -> list[_Index]:
    """The groups of equal keys with the most packets, as indices of their flows; the largest first."""
    if not len(among):
        return []
    order = among[np.argsort(key[among])]
    sorted_keys = key[order]
    starts = np.concatenate([[0], np.flatnonzero(sorted_keys[1:] != sorted_keys[:-1]) + 1])
    sums = np.add.reduceat(packets[order], starts)
    ends = np.append(starts[1:], len(order))
    big = np.flatnonzero(sums >= max(floor, least * int(packets.sum())))
    best = big[np.argsort(-sums[big], kind="stable")][:most]
    return [order[starts[at] : ends[at]] for at in best]


def _wide(destination: NDArray[np.uint64]) -> bool:
    """Whether there are so many addresses that their prefix is of interest."""
    return bool((destination != destination[0]).any()) and len(np.unique(destination)) >= _WIDE


def _is_ipv4(name: Address) -> bool:
    return name.startswith(bytes(10) + b"\xff\xff")


def _row(name: Address) -> NDArray[np.uint8]:
    return np.frombuffer(name, "u1").reshape(1, 16)


def _texts(name: Address) -> str:
    return text.addresses(_row(name), 0, 16, 1)[0]


def _target(
    name: Address,
    bits: int,
    streams: dict[tuple[int, int], StreamCounts],
    sent: Callable[[Address, int], int],
) -> Target:
    from edgecap.packets.verdict.evidence import Target  # noqa: PLC0415 - counting must not wait for the models

    made: list[Stream] = sorted((each.stream() for each in streams.values()), key=lambda each: -each.packets)
    shown = bits - 96 if _is_ipv4(name) else bits
    return Target(
        address=_texts(name) + ("" if bits == 128 else f"/{shown}"),  # noqa: PLR2004
        packets=sum(each.packets for each in made),
        bytes=sum(each.bytes for each in made),
        sent=sent(name, bits),
        streams=tuple(made[:_STREAMS]),
    )


def sender(rows: Any) -> Callable[[Address, int], int]:
    """A function that sums the packets of `TALKER` rows from an address or prefix."""

    def sent(name: Address, bits: int) -> int:
        size = bits // 8
        same = (rows["address"][:, :size] == np.frombuffer(name, "u1")[:size]).all(axis=1)
        return int(rows["packets"][same].sum())

    return sent
