"""Rows of Logpush as packets of a pcapng: the headers that a row describes; what was done, in a comment.

A row tells a packet's headers, but not its payload, so a packet is cut off behind its headers. Its IP
checksum is valid; that of TCP or UDP too if there is no payload, else it is the row's. What a row lacks is 0,
and the comment names it. Interfaces say how many packets each packet stands for.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgecap.analytics.rows import BATCH, DROPPED, PASSED, RECORD, Texts, bit
from edgecap.packets.columns import PACKET, Batch, Interface, Rows, weight_comment
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.native import rows as native
from edgecap.packets.writer import PacketWriter

RAW_IP = 101  # the link type: a packet begins with its IP header
HELD = 1 << 16  # rows that are sorted together
_ROOM = 4 << 20  # bytes of blocks at a time
_OTHERS = "outcome not known"
_WORDS = {PASSED: "passed", DROPPED: "dropped"}
_MOST_INTERFACES = 4_096
_SMALLEST = 64  # bytes of a block at least
_EXACT = 1_000  # weights above are rounded if there are very many


class HeaderPackets:
    """Writes rows as packets, in the order of time as far as `HELD` rows reach.

    Args:
        writer: begun.
        table: also counts the packets, with their weights; None: nothing is counted.
        texts: of the rows.
        outcome: of the rows that become packets: `PASSED`, `DROPPED`; None: all.

    Attributes:
        packets: written so far.
        not_a_packet: rows without source or protocol.
    """

    def __init__(
        self,
        writer: PacketWriter,
        table: FlowTable | None,
        texts: Texts,
        *,
        outcome: int | None = DROPPED,
    ) -> None:
        self.packets = 0
        self.not_a_packet = 0
        self._writer = writer
        self._table = table
        self._texts = texts
        self._outcome = outcome
        self._interfaces: list[Interface] = []
        self._numbers: dict[tuple[int, int], int] = {}
        self._held: Rows = np.zeros(HELD + BATCH, RECORD)
        self._used = 0
        self._blocks = bytearray(_ROOM)
        self._rows: Rows = np.zeros(_ROOM // _SMALLEST, PACKET)
        self._lacking: NDArray[np.uint64] = np.zeros(len(native.LACKS), "u8")
        self._addresses = bit("IPSourceAddress") | bit("IPDestinationAddress")
        self._protocols = bit("IPProtocol") | bit("IPProtocolName")

    def __repr__(self) -> str:
        return f"<HeaderPackets [{self.packets} packets]>"

    @property
    def lacking(self) -> dict[str, int]:
        """How many packets lack what, because their rows do not tell it; the most frequent first."""
        counts = dict(zip(native.LACKS, self._lacking.tolist(), strict=True))
        return {name: counts[name] for name in sorted(counts, key=lambda each: -counts[each]) if counts[name]}

    def add(self, rows: Rows) -> None:
        """Add `RECORD`s; they may be overwritten after this."""
        present = rows["present"]
        good = ((present & self._protocols) != 0) & ((present & self._addresses) == self._addresses)
        if self._outcome is not None:
            wanted = rows["outcome"] == self._outcome
            self.not_a_packet += int(np.count_nonzero(wanted & ~good))
            good &= wanted
        else:
            self.not_a_packet += int(np.count_nonzero(~good))
        for begin in range(0, len(rows), BATCH):
            self._hold(rows[begin : begin + BATCH], np.flatnonzero(good[begin : begin + BATCH]))

    def _hold(self, rows: Rows, places: NDArray[np.int64]) -> None:
        held = self._held[self._used : self._used + len(places)]
        np.take(_as_words(rows), places, axis=0, out=_as_words(held))
        self._used += len(places)
        if self._used >= HELD:
            self._write(HELD // 2)

    def finish(self) -> None:
        """Write what is held."""
        self._write(self._used)

    def _write(self, count: int) -> None:
        """Write the earliest of the held rows, and hold the others."""
        held = self._held[: self._used]
        order = np.argsort(held["time"], kind="stable").astype("u4")
        for batch in self._batches(held, order[:count]):
            if self._table:
                self._table.feed(batch, self._interfaces)
            self._writer.append(batch)
            self.packets += len(batch.rows)
        left = np.take(_as_words(held), np.sort(order[count:]), axis=0)
        self._used = len(left)
        _as_words(self._held)[: self._used] = left

    def _batches(self, held: Rows, order: NDArray[np.uint32]) -> Iterator[Batch]:
        self._texts.learn()
        interfaces, begin = self._interfaces_of(held), 0
        while begin < len(order):
            begin, made, filled = native.build(
                held,
                order,
                interfaces,
                begin,
                self._texts.shown,
                self._texts.shown_pool,
                len(self._texts),
                self._blocks,
                self._rows,
                self._lacking,
            )
            yield Batch(bytes(memoryview(self._blocks)[:filled]), self._rows[:made], 0, in_blocks=True)

    def _interfaces_of(self, rows: Rows) -> NDArray[np.uint32]:
        """The number of each row's interface: one for each outcome and weight."""
        keys = rows["outcome"].astype("u8") << np.uint64(32) | rows["sample_interval"]
        distinct, places = np.unique(keys, return_inverse=True)
        numbers = [self._interface(int(key) >> 32, int(key) & 0xFFFF_FFFF) for key in distinct]
        return np.array(numbers, "u4")[places]

    def _interface(self, outcome: int, weight: int) -> int:
        if len(self._numbers) >= _MOST_INTERFACES and weight > _EXACT:
            scale = 10 ** (len(str(weight)) - 3)
            weight = round(weight / scale) * scale
        key = (outcome, weight)
        if key not in self._numbers:
            word = _WORDS.get(outcome, _OTHERS)
            each = Interface(RAW_IP, 0, options=(weight_comment(weight),) if weight else ())
            told = f"1 in {weight:,}" if weight else "weight not known"
            self._writer.interface(each, f"{word}, {told}")
            self._interfaces.append(each)
            self._numbers[key] = len(self._interfaces) - 1
        return self._numbers[key]


def _as_words(rows: Rows) -> NDArray[np.uint64]:
    """The same memory as rows of words, which NumPy copies faster."""
    return rows.view("u8").reshape(len(rows), RECORD.itemsize // 8)
