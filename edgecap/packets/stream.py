"""Parse a file of packets as its bytes arrive: unpack, parse, hold incomplete records.

No file content makes this raise, hang or hold more than one record's bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgecap.files.gunzip import Gunzip
from edgecap.files.sniff import ENOUGH, GZIP_MAGIC, PCAP_MAGICS, PCAPNG_MAGIC, Kind, is_zstd, sniff
from edgecap.files.unpacking import GZIP_DAMAGED, PIECE, ZSTD_DAMAGED
from edgecap.files.unzstd import Unzstd
from edgecap.packets.columns import Batch, Interface
from edgecap.packets.inspection import (
    EMPTY,
    NOT_PCAP,
    TRUNCATED,
    Inspection,
    moment,
)
from edgecap.packets.pcap import PcapParser
from edgecap.packets.pcapng import PcapngParser
from edgecap.packets.record_parser import RecordParser

_MAGIC = 4

_KIND_WORDS = {
    Kind.EMPTY: "the file has no bytes",
    Kind.HTML: "it is an HTML page, not packets",
    Kind.JSON: "it is a JSON answer, not packets",
    Kind.XML: "it is an XML answer, not packets",
}


class PacketStream:
    """Takes bytes as they come. The result does not depend on the chunks.

    Args:
        collect: return batches of packets; otherwise packets are only counted, and there are no batches.
        piece: maximum bytes unpacked at a time.
        most: unpacked bytes after which reading a packed file stops; None for no limit.
    """

    def __init__(self, *, collect: bool, piece: int = PIECE, most: int | None = None) -> None:
        self._piece = piece
        self._most = most
        self.too_large = False  # a packed file has more than `most` bytes
        self._head = b""  # the first bytes, until they tell the packing
        self._unpack: Gunzip | Unzstd | None = None
        self._decided = False
        self._core = _Core(collect=collect)

    def __repr__(self) -> str:
        return f"<PacketStream {self._core!r}>"

    @property
    def interfaces(self) -> list[Interface]:
        """The interfaces so far; a row's `interface` is an index into this list."""
        return [] if self._core.parser is None else self._core.parser.interfaces

    @property
    def comments(self) -> tuple[bytes, ...]:
        """The comments on the whole file, as far as it was read."""
        return () if self._core.parser is None else self._core.parser.comments

    def feed(self, chunk: bytes) -> Iterator[Batch]:
        """Add the next bytes of the file. Exhaust the iterator: it does the work."""
        if not self._decided:
            self._head += bytes(chunk[:_MAGIC])
            if len(self._head) < _MAGIC:
                return
            chunk = self._head + bytes(chunk[_MAGIC:])
            self._decide()
        if self._unpack is None:
            yield from self._core.feed(chunk)
        else:
            for piece in () if self.too_large else self._unpack.feed(chunk):
                if self._most is not None and self._unpack.size > self._most:
                    self.too_large = True
                    return
                yield from self._core.feed(piece)

    def finish(self) -> Inspection:
        """End the file, and return the result. All packets have been returned."""
        if not self._decided:
            self._decide()
            for piece in (self._head,) if self._unpack is None else self._unpack.feed(self._head):
                for _ in self._core.feed(piece):
                    raise AssertionError("a packet in fewer than four bytes")
        if self._unpack is not None:
            self._unpack.finish()
        return self._core.result(self._unpack)

    def _decide(self) -> None:
        self._decided = True
        if self._head.startswith(GZIP_MAGIC):
            self._unpack = Gunzip(self._piece)
        elif is_zstd(self._head):
            self._unpack = Unzstd(self._piece)


class _Core:
    """Feeds a parser with unpacked bytes, and holds the bytes of an incomplete record."""

    def __init__(self, *, collect: bool) -> None:
        self.parser: RecordParser | None = None
        self._collect = collect
        self._size = 0
        self._head = bytearray()  # the first bytes, to name the type of a file without packets
        self._held = bytearray()
        self._unknown = False

    def __repr__(self) -> str:
        return f"[{self._size} bytes] {self.parser!r}"

    def feed(self, chunk: bytes) -> Iterator[Batch]:
        self._size += len(chunk)
        if len(self._head) < ENOUGH:
            self._head += chunk[: ENOUGH - len(self._head)]
        if self._unknown or (self.parser is not None and self.parser.stopped):
            return
        pos = 0
        if self.parser is None:
            pos = _MAGIC - len(self._held)
            self._held += chunk[:pos]
            if len(self._held) < _MAGIC:
                return
            self.parser = _parser_for(bytes(self._held), collect=self._collect)
            if self.parser is None:
                self._unknown = True
                self._held.clear()
                return
        yield from self._walk(self.parser, chunk, pos)

    def _walk(self, parser: RecordParser, chunk: bytes, pos: int) -> Iterator[Batch]:
        while self._held:
            missing = parser.need - len(self._held)
            if missing > 0:
                part = chunk[pos : pos + missing]
                self._held += part
                pos += len(part)
                if len(part) < missing:
                    return
            offset, record = parser.offset, bytes(self._held)
            if parser.walk(record, 0):
                self._held.clear()
                yield from _batches(parser, record, offset)
            if parser.stopped:
                self._held.clear()
                return
        begun, offset = pos, parser.offset
        pos = parser.walk(chunk, pos)
        if not parser.stopped:
            self._held += chunk[pos:]
        yield from _batches(parser, chunk, offset - begun)

    def result(self, unpack: Gunzip | Unzstd | None) -> Inspection:
        parser = self.parser
        flags = set(parser.flags) if parser else {NOT_PCAP}
        encoding = "" if unpack is None else "gzip" if isinstance(unpack, Gunzip) else "zstd"
        offset: int | None = None
        damage = ""
        if parser is None:
            offset, damage = 0, _no_packets(bytes(self._head), encoding)
        elif parser.stopped:
            offset = parser.offset
            damage = f"{parser.stopped}: the last {_bytes(self._size - offset)} cannot be read"
        elif self._held:
            flags.add(TRUNCATED)
            offset = parser.offset
            place = f"after packet {parser.packets}" if parser.packets else "before the first packet"
            damage = f"cut {place}: {_bytes(len(self._held))} of a record of {parser.need} or more"
        if unpack is not None and unpack.problem:
            flags.add(GZIP_DAMAGED if isinstance(unpack, Gunzip) else ZSTD_DAMAGED)
            offset = self._size if offset is None else offset
            damage = "; ".join(filter(None, (unpack.problem, damage)))
        if parser is None or not parser.packets:
            flags.add(EMPTY)
        first, last = (parser.times() if parser else None) or (None, None)
        return Inspection(
            format=parser.format if parser else "unknown",
            encoding=encoding,
            size=self._size,
            packets=parser.packets if parser else 0,
            bytes_on_wire=parser.bytes_on_wire if parser else 0,
            bytes_captured=parser.bytes_captured if parser else 0,
            first=moment(first),
            last=moment(last),
            first_ns=first,
            last_ns=last,
            link_types=tuple(sorted(parser.link_types)) if parser else (),
            snaplen=parser.snaplen if parser else 0,
            flags=tuple(sorted(flags)),
            damage_offset=offset,
            damage=damage,
        )


def _batches(parser: RecordParser, data: bytes, offset: int) -> Iterator[Batch]:
    rows, blocks = parser.rows(), parser.blocks()
    if len(rows) or blocks:
        yield Batch(data, rows, offset, parser.in_blocks, blocks)


def _parser_for(magic: bytes, *, collect: bool) -> RecordParser | None:
    if magic in PCAP_MAGICS:
        return PcapParser(collect=collect)
    if magic == PCAPNG_MAGIC:
        return PcapngParser(collect=collect)
    return None


def _no_packets(head: bytes, encoding: str) -> str:
    kind = sniff(head)
    if kind in (Kind.GZIP, Kind.ZSTD):
        return f"it is {kind} within {encoding}, not packets"
    return _KIND_WORDS.get(kind, "it does not begin as pcap or pcapng")


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count:,} bytes"
