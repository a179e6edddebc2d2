"""The captures whose packets are compared: read twice, in little memory.

The first pass takes a random sample, in which filters are searched. The second counts how many of all packets
each filter matches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edgecap.packets.columns import Batch
from edgecap.packets.inspection import NO_TIME, moment
from edgecap.packets.reader import PacketReader, open_packets
from edgecap.proposals.table import PacketTable

_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CaptureSource:
    """Packets of a capture, or of a part of its time.

    Attributes:
        name: for people, such as `before 1 (1f0c22ab)`.
        paths: the files.
        sampled: its packets are samples, as those of simple captures are.
        since: no packets before this time, aware; None: from the first.
        until: no packets from this time on, aware; None: to the last.
        capture_id: in the archive; empty for a file.
    """

    name: str
    paths: tuple[Path, ...]
    sampled: bool = False
    since: datetime | None = None
    until: datetime | None = None
    capture_id: str = ""

    def tables(self) -> Iterator[PacketTable]:
        """All packets, a batch at a time.

        Raises:
            ObjectMissing: a file is not there.
            StoreError: a file cannot be read.
        """
        for batch, reader in self._batches([]):
            yield PacketTable.of(batch, reader.interfaces)

    def sample(self, most: int, seed: int = 1) -> Sample:
        """A random sample of at most `most` packets; the same for the same file and seed.

        Raises:
            ObjectMissing: a file is not there.
            StoreError: a file cannot be read.
        """
        random = np.random.default_rng(seed)
        tables: list[PacketTable] = []
        packets = held = 0
        rate = 1.0
        first: int | None = None
        last: int | None = None
        damage: list[str] = []
        for batch, reader in self._batches(damage):
            packets += len(batch.rows)
            times = batch.rows["time"][batch.rows["time"] != NO_TIME]
            if len(times):
                first = int(times.min()) if first is None else min(first, int(times.min()))
                last = int(times.max()) if last is None else max(last, int(times.max()))
            rows = batch.rows if rate >= 1 else batch.rows[random.random(len(batch.rows)) < rate]
            # `take` keeps the columns, and lets go of the batch's bytes.
            table = PacketTable.of(replace(batch, rows=rows), reader.interfaces)
            tables.append(table.take(np.arange(len(rows))))
            held += len(rows)
            while held > most:
                rate /= 2
                tables = [each.take(random.random(len(each)) < 0.5) for each in tables]  # noqa: PLR2004
                held = sum(map(len, tables))
        return Sample(PacketTable.together(tables), packets, first, last, "; ".join(damage))

    def _batches(self, damage: list[str]) -> Iterator[tuple[Batch, PacketReader]]:
        since, until = _nanoseconds(self.since), _nanoseconds(self.until)
        for path in self.paths:
            with open_packets(path) as reader:
                for batch in reader:
                    rows = batch.rows
                    if since is not None or until is not None:
                        times = rows["time"]
                        kept = times != NO_TIME  # when a packet without a time was sent is not known
                        if since is not None:
                            kept &= times >= since
                        if until is not None:
                            kept &= times < until
                        rows = rows[kept]
                    if len(rows):
                        yield replace(batch, rows=rows), reader
                if lost := reader.inspection().damage:
                    damage.append(f"{path.name}: {lost}")


@dataclass(frozen=True, slots=True)
class Sample:
    """A random sample of a capture's packets.

    Attributes:
        table: the sample.
        packets: how many packets the capture has.
        first: time of its earliest packet, nanoseconds since 1970; None if it has none.
        last: of its latest.
        damage: which file could not be read whole, and what was lost; empty if nothing.
    """

    table: PacketTable
    packets: int
    first: int | None
    last: int | None
    damage: str = ""

    @property
    def share(self) -> float:
        """The part of the packets that is in the sample."""
        return len(self.table) / self.packets if self.packets else 1.0

    @property
    def seconds(self) -> float:
        """From the first packet to the last."""
        return 0.0 if self.first is None or self.last is None else (self.last - self.first) / _SECOND

    @property
    def times(self) -> tuple[datetime | None, datetime | None]:
        """From when to when, aware; None if there are no packets, or a time out of range."""
        return moment(self.first), moment(self.last)


def _nanoseconds(time: datetime | None) -> int | None:
    if time is None:
        return None
    past = time - _EPOCH
    return (past.days * 86_400 + past.seconds) * _SECOND + past.microseconds * 1000
