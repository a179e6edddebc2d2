"""Merge files of packets by time into one, of which a pcapng tells each packet's source."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from edgecap.errors import Damaged, InvalidRequest, ObjectChanged
from edgecap.files.names import shown
from edgecap.files.sniff import is_zstd
from edgecap.files.unzstd import Unzstd
from edgecap.packets.columns import Batch, Rows
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.inspect import inspect_file
from edgecap.packets.inspection import NO_TIME, Inspection
from edgecap.packets.reader import PacketReader
from edgecap.packets.source import Readable, chunks, opened
from edgecap.packets.writer import Form, PacketWriter, new_packet_file

if TYPE_CHECKING:
    from edgecap.packets.packet_filter import PacketFilter

_BUFFERS = 24 << 20  # read-ahead bytes of all sources together
_LEAST, _MOST = 1 << 12, 1 << 20  # of one source
_LONGEST_COMMENT = 65_535  # bytes


@dataclass(frozen=True, slots=True)
class MergeSource:
    """A file to merge.

    Attributes:
        path: pcap or pcapng, plain or packed with gzip or zstd. It is only read.
        server: the server that recorded it, such as `ord02-s1`; may be empty.
        name: the file's name for people; by default its name on the disk.
        note: what to say of its packets in its interfaces' descriptions; may be empty.
    """

    path: Path
    server: str = ""
    name: str = ""
    note: str = ""

    @property
    def label(self) -> str:
        r"""The name of its interface: server and file. Bytes that are not UTF-8 are written as `\xff`."""
        return shown("/".join(filter(None, (self.server, self.name or self.path.name))))


@dataclass(frozen=True, slots=True)
class MergedSource:
    """The result for one source.

    Attributes:
        source: the file.
        interfaces: the numbers of its interface blocks in the merged file; none if it is not a packet file.
        inspection: its content; `damage` says what was lost, and after which byte.
        refused: why none of its packets was merged: the expression does not apply to its link type, or the
            merged file cannot hold that; empty otherwise.
        hint: what to write if no packet matches the expression, but some do inside a tunnel; else empty.
    """

    source: MergeSource
    interfaces: tuple[int, ...]
    inspection: Inspection
    refused: str = ""
    hint: str = ""

    @property
    def lost(self) -> str:
        """The part of it that was lost for another reason than the expression; empty if nothing."""
        return "; ".join(filter(None, (self.inspection.lost, self.refused)))


@dataclass(frozen=True, slots=True)
class Merged:
    """The result of a merge.

    Attributes:
        path: the merged file.
        packets: its packets: all readable ones of the sources.
        size: its bytes.
        sources: in the order given.
        clamped: packets whose time the format cannot hold; they got the nearest that it can.
    """

    path: Path
    packets: int
    size: int
    sources: tuple[MergedSource, ...]
    clamped: int = 0

    @property
    def damaged(self) -> tuple[MergedSource, ...]:
        """The sources of which a part is lost."""
        return tuple(each for each in self.sources if each.lost)


def merge(
    sources: Sequence[MergeSource],
    target: Path,
    *,
    expression: str = "",
    inner: bool = False,
    form: Form = Form.PCAPNG,
    tally: FlowTable | None = None,
    comment: str = "",
) -> Merged:
    """Merge files by time into `target`, in nanoseconds; a pcapng has an interface block for each source.

    A source with several interfaces gets one block for each. Each step takes the earliest of the sources'
    next packets, of equal ones the first source's: sources in order give a result in order, and a source
    whose time goes backwards keeps its own order. A packet without a time stays behind the one before it, and
    gets its time, since both formats require one; a time before 1970 becomes 1970, and in a pcap one after
    2106 becomes that. The sources are not changed.

    A pcapng keeps comments and other options of packets, of interfaces, and comments of sections (with the
    section's interfaces), and the blocks with names, secrets and journal entries. A pcap has one link type,
    and no place for any of that; old programs read it, and those that want equal snap lengths.

    Memory does not grow with the files' sizes, and hardly with their number. No source stays open. Of several
    zstd sources, each gets an unnamed unpacked copy beside `target`, because each decoder would need
    megabytes for its window.

    Damaged sources are merged as far as they can be read; the result says what was lost. If libpcap rejects
    the expression for a source's link type, or the format cannot hold that, the source is left out, and the
    others are merged.

    Args:
        sources: the files to merge.
        target: the new file.
        expression: in pcap-filter syntax; only matching packets are merged. Empty: all.
        inner: apply the expression to the innermost IP packet, as `PacketFilter`.
        form: the format of `target`.
        tally: also counts the merged packets.
        comment: on the merged file, before the sources' own; a pcap has no place for it.

    Raises:
        InvalidRequest: there is no source, or libpcap rejects the expression for all of them.
        Damaged: the format can hold none of their link types.
        ObjectExists: `target` exists.
        ObjectMissing: a source does not exist.
        ObjectChanged: a source was replaced during the merge.
        StoreError: reading or writing failed; `target` does not exist then.
    """
    if not sources:
        raise InvalidRequest("there is nothing to merge", hint="name at least one file")
    read_size = min(max(_BUFFERS // len(sources), _LEAST), _MOST)
    with ExitStack() as stack, new_packet_file(target, form) as writer:
        packed = [each for each in sources if _is_zstd(each.path)]
        feeds = []
        for each in sources:
            if len(packed) > 1 and each in packed:
                copy = stack.enter_context(_unpacked(each.path, target.parent))
                feeds.append(_Feed(each, copy, writer, read_size, copied=True))
            else:
                feeds.append(_Feed(each, _Revisited(each.path), writer, read_size))
        for feed in feeds:
            if expression.strip():
                from edgecap.packets.packet_filter import PacketFilter  # noqa: PLC0415 - libpcap, only for a filter

                feed.sieve = PacketFilter(expression, shown(feed.source.path), inner=inner)
            feed.tally = tally
        _merge(feeds, writer, comment)
        refused = [feed.refused for feed in feeds if feed.refused]
        if refused and not any(feed.is_described and not feed.refused for feed in feeds):
            raise refused[0]
        done = tuple(feed.result() for feed in feeds)
        packets, size, clamped = writer.packets, writer.size, writer.clamped
    return Merged(target, packets, size, done, clamped)


def _merge(feeds: list[_Feed], writer: PacketWriter, comment: str) -> None:
    for feed in feeds:
        feed.begin()
    own = [comment.encode()[:_LONGEST_COMMENT]] if comment else []
    writer.begin([*own, *(each for feed in feeds for each in feed.comments(named=len(feeds) > 1))])
    batches = [(feed, feed.next()) for feed in feeds]
    waiting = [(feed, batch) for feed, batch in batches if batch is not None]
    alive = [feed for feed, _ in waiting]
    heads = [(batch.data, batch.rows, batch.in_blocks) for _, batch in waiting]
    writer.latest = _earliest([rows for _, rows, _ in heads])
    del batches, waiting  # they would keep the first batches' bytes in memory
    taken = np.zeros(len(alive), np.uint32)
    while alive:
        starved = writer.merge(heads, taken)
        batch = alive[starved].next()
        if batch is not None:
            heads[starved] = batch.data, batch.rows, batch.in_blocks
            taken[starved] = 0
        else:
            del alive[starved], heads[starved]
            taken = np.delete(taken, starved)


def _earliest(heads: Sequence[Rows]) -> int:
    """The earliest time of the first packets that have one: for packets without, in front of all others."""
    timed = [rows["time"][rows["time"] != NO_TIME] for rows in heads]
    return min((int(times[0]) for times in timed if len(times)), default=0)


class _Feed:
    """One source: its batches, with interfaces numbered as in the merged file."""

    def __init__(
        self,
        source: MergeSource,
        file: Readable,
        writer: PacketWriter,
        read_size: int,
        *,
        copied: bool = False,
    ) -> None:
        self.source = source
        self.sieve: PacketFilter | None = None
        self.tally: FlowTable | None = None
        self.refused: InvalidRequest | Damaged | None = None
        self._copied = copied
        self._writer = writer
        self._reader = PacketReader(file, where=source.path, read_size=read_size)
        self._batches: Iterator[Batch] = iter(self._reader)
        self._numbers = np.zeros(0, np.uint32)

    def begin(self) -> None:
        """Read the first packets, and so what the file says of itself."""
        self._batches = chain([*islice(self._batches, 1)], self._batches)

    def comments(self, *, named: bool) -> list[bytes]:
        """The file's comments on itself; `named` puts its name in front."""
        head = f"{self.source.label}: ".encode() if named else b""
        return [head + comment[: _LONGEST_COMMENT - len(head)] for comment in self._reader.comments]

    def next(self) -> Batch | None:
        """The next packets to merge; None at the end."""
        try:
            for batch in self._batches:
                self._describe()
                for block in batch.blocks:
                    self._writer.block(block)
                kept = self.sieve.keep(batch, self._reader.interfaces) if self.sieve else batch
                if not len(kept.rows):
                    continue
                if self.tally:
                    self.tally.feed(kept, self._reader.interfaces)
                kept.rows["interface"] = self._numbers[kept.rows["interface"]]
                return kept
            self._describe()
            if self.sieve:
                self.sieve.check(self._reader.interfaces)
        except (InvalidRequest, Damaged) as error:
            self.refused = error
        return None

    @property
    def is_described(self) -> bool:
        """Whether it has interfaces, and so may have packets."""
        return len(self._numbers) > 0

    def _describe(self) -> None:
        described = self._reader.interfaces
        if len(described) > len(self._numbers):
            new = [
                self._writer.interface(each, self.source.label, self.source.note)
                for each in described[len(self._numbers) :]
            ]
            self._numbers = np.concatenate([self._numbers, np.array(new, np.uint32)])

    def result(self) -> MergedSource:
        # The reader of an unpacked copy does not know of the packing and its damage.
        found = inspect_file(self.source.path) if self._copied else self._reader.inspection()
        refused = str(self.refused) if self.refused else ""
        hint = self.sieve.hint if self.sieve else ""
        return MergedSource(self.source, tuple(self._numbers.tolist()), found, refused, hint)


class _Revisited:
    """A file that is reopened for each read, so that any number can be read in parallel."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0
        self._identity: tuple[int, int] | None = None

    def read(self, size: int, /) -> bytes:
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            found = os.fstat(descriptor)
            identity = found.st_dev, found.st_ino
            if self._identity not in (None, identity):
                raise ObjectChanged("the file was replaced during the merge", where=str(self._path))
            self._identity = identity
            chunk = os.pread(descriptor, size, self._place)
        finally:
            os.close(descriptor)
        self._place += len(chunk)
        return chunk


def _is_zstd(path: Path) -> bool:
    with opened(path) as file:
        return is_zstd(next(chunks(file, path, 4), b""))


def _unpacked(path: Path, folder: Path) -> BinaryIO:
    """Unpack a zstd file, as far as possible, into an unnamed file in `folder`."""
    copy = TemporaryFile(dir=folder)  # noqa: SIM115 - the caller's stack closes it
    unzstd = Unzstd()
    with opened(path) as file:
        for chunk in chunks(file, path):
            for piece in unzstd.feed(chunk):
                copy.write(piece)
    copy.seek(0)
    return copy
