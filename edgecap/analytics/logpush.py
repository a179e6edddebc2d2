"""Finds and reads the rows of a window of time in the bucket that Logpush pushes `network_analytics_logs` to.

Cloudflare names a batch `<YYYYMMDD>/<start>_<end>_<hash>.log.gz`: newline-delimited JSON, packed with gzip. A
row comes about a minute after its packet, so the batches around the window are read too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgecap.analytics.rows import LineCounts, RowReader, Texts, bit
from edgecap.errors import StoreError
from edgecap.files.ahead import ahead
from edgecap.files.gunzip import Gunzip
from edgecap.files.sniff import GZIP_MAGIC, is_zstd
from edgecap.files.unpacking import Unpacker
from edgecap.files.unzstd import Unzstd
from edgecap.packets.columns import Rows
from edgecap.stores.base import ObjectInfo, Store
from edgecap.units import plural

SLACK: Final = timedelta(minutes=10)  # a batch is read if it lies within this of the window
_AHEAD = 8  # pieces of a megabyte that are unpacked ahead
_MOST_TOLD = 5  # files whose fault is told
_ENOUGH = 4  # bytes that tell the packing
_NAME = re.compile(r"(?:^|/)(\d{8}T\d{6}Z)_(\d{8}T\d{6}Z)_[^/]*$")
_NEVER = np.uint64(0)

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows are wanted.

    Attributes:
        targets: addresses and prefixes of destinations, such as 203.0.113.7 or 203.0.113.0/24.
        since: when the window begins, aware.
        until: when it ends, aware, exclusive.
    """

    targets: tuple[str, ...]
    since: datetime
    until: datetime


@dataclass(slots=True)
class Read:
    """What became of the files and rows.

    Attributes:
        files: that were read.
        bytes: of their rows, unpacked.
        lines: what became of their lines.
        rows: rows of the dataset.
        elsewhere: rows of another target or another time.
        used: rows that were given.
        without_address: rows without a destination or without a readable time.
        faults: of files, a line each.
        more_faults: how many faults are not among them.
    """

    files: int = 0
    bytes: int = 0
    lines: LineCounts = field(default_factory=LineCounts)
    rows: int = 0
    elsewhere: int = 0
    used: int = 0
    without_address: int = 0
    without_time: int = 0
    texts_left_out: int = 0
    faults: list[str] = field(default_factory=list)
    more_faults: int = 0

    def fault(self, line: str) -> None:
        """Note what is wrong with a file."""
        if len(self.faults) < _MOST_TOLD:
            self.faults.append(line)
        else:
            self.more_faults += 1

    def unusable(self) -> list[str]:
        """What was not usable, a line each; empty if all was."""
        lines = self.lines
        counted = (
            (lines.broken, "line is", "lines are", "no JSON object"),
            (lines.foreign, "row is", "rows are", "of another dataset"),
            (lines.cut, "file ends", "files end", "in the middle of a row"),
            (self.without_address, "row has", "rows have", "no readable destination"),
            (self.without_time, "row has", "rows have", "no readable time"),
            (lines.not_understood, "value was", "values were", "not understood"),
            (self.texts_left_out, "text was", "texts were", "left out: there are too many different ones"),
        )
        told = [
            f"{number:,} {one if number == 1 else many} {what}"
            for number, one, many, what in counted
            if number
        ]
        more = [f"{plural(self.more_faults, 'more file')} with faults"] if self.more_faults else []
        return [*self.faults, *more, *told]


def find_files(store: Store, since: datetime, until: datetime) -> list[ObjectInfo]:
    """The files whose rows may be from a window of time, by name.

    Args:
        store: the bucket or folder below which the days lie.
        since: aware.
        until: aware.

    Raises:
        StoreError: it cannot be listed.
    """
    since, until = since.astimezone(UTC) - SLACK, until.astimezone(UTC) + SLACK
    found = []
    day = since.date()
    while day <= until.date():
        for info in store.list(f"{day:%Y%m%d}"):
            times = _NAME.search(info.key)
            if times and _moment(times[1]) <= until and _moment(times[2]) >= since:
                found.append(info)
        day += timedelta(days=1)
    return sorted(found, key=_begin)


def _begin(info: ObjectInfo) -> tuple[str, str]:
    times = _NAME.search(info.key)
    return (times[1] if times else "", info.key)


def _moment(stamp: str) -> datetime:
    try:
        return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def read_rows(
    store: Store, files: Sequence[ObjectInfo], wanted: Wanted, read: Read, texts: Texts | None = None
) -> Iterator[Rows]:
    """The wanted rows of files, in batches of `RECORD`s. A file that cannot be read stops no other.

    Args:
        store: where they lie.
        files: from `find_files`.
        wanted: which rows.
        read: is filled with what became of them; complete at the end.
        texts: gets the rows' texts.
    """
    reader = RowReader(texts)
    select = _selection(wanted)

    def kept(batch: Rows) -> Iterator[Rows]:
        read.rows += len(batch)
        found = select(batch, read)
        read.used += len(found)
        if len(found):
            yield found

    with ahead(_pieces(store, files, read), _AHEAD) as pieces:
        for piece in pieces:
            for batch in reader.end_file() if piece is None else reader.feed(piece):
                yield from kept(batch)
            if piece is None:
                read.files += 1
            else:
                read.bytes += len(piece)
    for batch in reader.finish():
        yield from kept(batch)
    read.lines = reader.counts
    read.texts_left_out = reader.texts.without_room


def _pieces(store: Store, files: Sequence[ObjectInfo], read: Read) -> Iterator[bytes | None]:
    """The unpacked bytes of all files; None behind each."""
    for info in files:
        try:
            yield from _unpacked(store, info, read)
        except StoreError as error:
            read.fault(f"{info.key}: {error.what}")
        yield None


def _unpacked(store: Store, info: ObjectInfo, read: Read) -> Iterator[bytes]:
    unpacker: Unpacker | None = None
    head, decided = b"", False
    with store.open(info.key) as chunks:
        for each in chunks:
            chunk = each
            if not decided:
                head += chunk
                if len(head) < _ENOUGH:
                    continue
                chunk, decided = head, True
                if chunk.startswith(GZIP_MAGIC):
                    unpacker = Gunzip()
                elif is_zstd(chunk):
                    unpacker = Unzstd()
            if unpacker is None:
                yield chunk
            else:
                yield from unpacker.feed(chunk)
    if unpacker is not None:
        unpacker.finish()
        if unpacker.problem:
            read.fault(f"{info.key}: {unpacker.problem}")
    elif not decided and head:
        yield head


def _selection(wanted: Wanted) -> Callable[[Rows, Read], Rows]:
    nets = [_masked(ip_network(target, strict=False)) for target in wanted.targets]
    since, until = (int(each.timestamp() * 1e6) * 1000 for each in (wanted.since, wanted.until))
    timed, addressed = bit("Datetime"), bit("IPDestinationAddress")

    def select(rows: Rows, read: Read) -> Rows:
        has_time = (rows["present"] & timed) != _NEVER
        has_address = (rows["present"] & addressed) != _NEVER
        halves = np.ascontiguousarray(rows["destination"]).view(">u8").astype("u8")
        hit = np.zeros(len(rows), bool)
        for (high, low), (high_mask, low_mask) in nets:
            hit |= ((halves[:, 0] & high_mask) == high) & ((halves[:, 1] & low_mask) == low)
        if not nets:
            hit[:] = True
        within = (rows["time"] >= since) & (rows["time"] < until)
        read.without_address += int(np.count_nonzero(~has_address))
        read.without_time += int(np.count_nonzero(~has_time & has_address))
        chosen: NDArray[np.bool_] = has_time & has_address & hit & within
        read.elsewhere += int(np.count_nonzero(has_time & has_address & ~chosen))
        return rows if chosen.all() else rows[chosen]

    return select


def _masked(network: Network) -> tuple[tuple[np.uint64, np.uint64], tuple[np.uint64, np.uint64]]:
    """A prefix of mapped addresses and its mask, each as two halves."""
    value, length = int(network.network_address), network.prefixlen
    if network.version == 4:  # noqa: PLR2004 - the version
        value, length = 0xFFFF << 32 | value, 96 + length
    mask = ((1 << length) - 1) << (128 - length)
    return _halves(value & mask), _halves(mask)


def _halves(value: int) -> tuple[np.uint64, np.uint64]:
    return np.uint64(value >> 64), np.uint64(value & (1 << 64) - 1)
