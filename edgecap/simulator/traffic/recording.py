"""An index of the packets in pcap and pcapng files, without their bytes in memory."""

from __future__ import annotations

import mmap
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edgecap.errors import ConfigError
from edgecap.simulator.traffic.times import SECOND

_PCAP = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
_TIME_RESOLUTION, _TIME_OFFSET = 9, 14
_PCAP_HEADER, _RECORD_HEADER, _BLOCK_SHELL = 24, 16, 12
_LINK_TYPE_BITS = 0xFFFF
_END_OF_TIME = 1 << 63  # nanoseconds: the year 2262


class _Found(NamedTuple):
    time_ns: int
    offset: int
    length: int
    link_type: int


@dataclass(frozen=True, slots=True)
class _Interface:
    link_type: int
    snaplen: int
    units: int  # time units per second
    offset_seconds: int

    def nanoseconds(self, high: int, low: int) -> int:
        return (high << 32 | low) * SECOND // self.units + self.offset_seconds * SECOND


class Recording:
    """An index of a capture file: the time and position of each packet.

    Classic pcap (both byte orders, micro- and nanoseconds) and pcapng (section, interface, enhanced, simple
    and obsolete packet blocks; others are skipped). A simple packet has no time stamp: it gets that of the
    packet before.

    Args:
        path: the file. It stays mapped until `close`, and must not change until then.

    Raises:
        ConfigError: it cannot be read, is not a capture file, is damaged or cut short, has no packets, or
            mixes link types.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.times = array("q")
        self._offsets = array("q")
        self._lengths = array("L")
        try:
            with path.open("rb") as file:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is empty"
            raise ConfigError(
                f"the recording cannot be read: {reason}", where=str(path), hint="give a pcap or pcapng file"
            ) from None
        try:
            self.link_type = self._index()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<Recording {self.path.name} [{len(self)} packets]>"

    def __len__(self) -> int:
        return len(self.times)

    def frame(self, number: int) -> bytes:
        """The bytes of packet `number`, from 0, in the file's order."""
        offset = self._offsets[number]
        return self._bytes[offset : offset + self._lengths[number]]

    def close(self) -> None:
        """Close the file."""
        self._bytes.close()

    def _index(self) -> int:
        link_types = set()
        for found in self._walk():
            if not 0 <= found.time_ns < _END_OF_TIME:
                raise self._broken("has a time stamp that is out of range")
            self.times.append(found.time_ns)
            self._offsets.append(found.offset)
            self._lengths.append(found.length)
            link_types.add(found.link_type)
        if not link_types:
            raise self._broken("has no packets", hint="give a recording with packets")
        if len(link_types) > 1:
            raise self._broken(
                f"mixes the link types {', '.join(map(str, sorted(link_types)))}", hint="give one for each"
            )
        return link_types.pop()

    def _walk(self) -> Iterator[_Found]:
        magic = self._bytes[:4]
        try:
            if magic in _PCAP:
                yield from self._pcap(*_PCAP[magic])
            elif magic == _SECTION.to_bytes(4, "big"):
                yield from self._pcapng()
            else:
                raise self._broken("is neither pcap nor pcapng")
        except (struct.error, OverflowError, ZeroDivisionError):
            raise self._broken("is damaged") from None

    def _pcap(self, order: str, nanoseconds: int) -> Iterator[_Found]:
        data, end = self._bytes, len(self._bytes)
        link_type = struct.unpack_from(order + "I", data, 20)[0] & _LINK_TYPE_BITS
        record = struct.Struct(order + "IIII")
        at = _PCAP_HEADER
        while at < end:
            if at + _RECORD_HEADER > end:
                raise self._broken("is cut short in a packet's header")
            seconds, rest, length, _ = record.unpack_from(data, at)
            at += _RECORD_HEADER
            if at + length > end:
                raise self._broken("is cut short in the middle of a packet")
            yield _Found(seconds * SECOND + rest * nanoseconds, at, length, link_type)
            at += length

    def _pcapng(self) -> Iterator[_Found]:
        data, end, at, order = self._bytes, len(self._bytes), 0, "<"
        interfaces: list[_Interface] = []
        last = 0
        while at < end:
            if data[at : at + 4] == _SECTION.to_bytes(4, "big"):
                order = _ORDERS.get(data[at + 8 : at + 12], "")
                if not order:
                    raise self._broken("has a section of unknown byte order")
                interfaces = []
            kind, size = struct.unpack_from(order + "II", data, at)
            if size < _BLOCK_SHELL or size % 4 or at + size > end:
                raise self._broken("is cut short or has a block of impossible size")
            body, behind = at + 8, at + size - 4
            if kind == _INTERFACE:
                interfaces.append(_interface(data[body:behind], order))
            elif kind in (_ENHANCED, _OLD_PACKET, _SIMPLE):
                found = self._packet(kind, body, order, interfaces, last)
                if found.offset + found.length > behind:
                    raise self._broken("has a packet that is longer than its block")
                last = found.time_ns
                yield found
            at += size

    def _packet(self, kind: int, body: int, order: str, interfaces: list[_Interface], last: int) -> _Found:
        if kind == _SIMPLE:
            number, start = 0, body + 4
        else:
            number = struct.unpack_from(order + ("I" if kind == _ENHANCED else "H"), self._bytes, body)[0]
            start = body + 20
        if number >= len(interfaces):
            raise self._broken("has a packet of an interface that it does not describe")
        interface = interfaces[number]
        if kind == _SIMPLE:
            length = struct.unpack_from(order + "I", self._bytes, body)[0]
            return _Found(last, start, min(length, interface.snaplen or length), interface.link_type)
        high, low, length = struct.unpack_from(order + "III", self._bytes, body + 4)
        return _Found(interface.nanoseconds(high, low), start, length, interface.link_type)

    def _broken(self, how: str, *, hint: str = "give a whole pcap or pcapng file") -> ConfigError:
        return ConfigError(f"the recording {how}", where=str(self.path), hint=hint)


def _interface(body: bytes, order: str) -> _Interface:
    link_type, _, snaplen = struct.unpack_from(order + "HHI", body)
    units, offset, at = 1_000_000, 0, 8
    while at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, at)
        value = body[at + 4 : at + 4 + length]
        if code == _TIME_RESOLUTION and value:
            power = value[0] & 0x7F
            units = 2**power if value[0] & 0x80 else 10**power
        elif code == _TIME_OFFSET and length == 8:  # noqa: PLR2004 - a 64-bit number
            offset = struct.unpack(order + "q", value)[0]
        elif code == 0:
            break
        at += 4 + (length + 3) // 4 * 4
    return _Interface(link_type, snaplen, units, offset)
