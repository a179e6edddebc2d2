"""The result of inspecting a file of packets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from edgecap.files.unpacking import GZIP_DAMAGED, ZSTD_DAMAGED

# Here, since commands that read no packets need it, and `columns` imports NumPy.
NO_TIME: Final = -(1 << 63)
"""The time in nanoseconds of a packet without one: pcapng's simple packet blocks have none."""

EMPTY = "empty"
TRUNCATED = "truncated"
NOT_PCAP = "not-pcap"
TIME_BACKWARDS = "time-backwards"
ABSURD_LENGTH = "absurd-length"
BAD_STRUCTURE = "bad-structure"
NO_TIMES = "no-times"
TIME_OUT_OF_RANGE = "time-out-of-range"
TOO_LARGE = "too-large"
CAPTURED_OVER_ORIGINAL = "captured-over-original"
FRACTION_OVER_SECOND = "fraction-over-second"

FLAGS = {
    EMPTY: "it has no packets",
    TRUNCATED: "it ends inside a header or a packet",
    NOT_PCAP: "it is neither pcap nor pcapng",
    TIME_BACKWARDS: "a packet is older than one before it",
    ABSURD_LENGTH: "a record claims to be longer than any packet can be; reading stopped there",
    BAD_STRUCTURE: "a header contradicts itself or the format; reading stopped there",
    NO_TIMES: "packets in it carry no time (pcapng simple packet blocks)",
    CAPTURED_OVER_ORIGINAL: "a packet's captured length exceeds its original one; the captured length counts",
    FRACTION_OVER_SECOND: "a time's fraction exceeds a second; behind the magic number for microseconds, "
    "fractions are read as nanoseconds from the first of two seconds or more on",
    TIME_OUT_OF_RANGE: "a packet's time exceeds 64 bits of nanoseconds; readers get the limit instead",
    GZIP_DAMAGED: "its gzip stream is cut, fails its checksum, or is followed by something else",
    ZSTD_DAMAGED: "its zstd stream is cut, fails its checksum, or is followed by something else",
    TOO_LARGE: "unpacked it would far exceed the capture's limit; it is kept packed, and not read",
}
"""Every flag of an `Inspection`, and its meaning."""
_NOTED = {NO_TIMES, TIME_BACKWARDS, TIME_OUT_OF_RANGE, CAPTURED_OVER_ORIGINAL, FRACTION_OVER_SECOND}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Inspection:
    """The content of a file of packets, as far as it can be read.

    Attributes:
        format: `pcap`, `pcapng` or `unknown`, of the unpacked bytes.
        encoding: `gzip` or `zstd` if the file was packed, else empty.
        size: bytes of the file, unpacked.
        packets: complete packets.
        bytes_on_wire: sum of their original lengths.
        bytes_captured: sum of their captured bytes.
        first: time of the earliest packet, rounded down to microseconds; None without one, or out of range.
        last: time of the latest packet, likewise.
        first_ns: the earliest packet's time in nanoseconds since 1970 UTC, exact.
        last_ns: the latest packet's, likewise.
        link_types: the `LINKTYPE_` numbers of its interfaces, ascending.
        snaplen: maximum captured bytes per packet, from the header (of all interfaces, the largest); 0: none.
        flags: from `FLAGS`, sorted.
        damage_offset: position in the unpacked file at which good data ends; None if all of it is good.
        damage: what was lost after it, one line; empty if nothing.
    """

    format: str
    encoding: str
    size: int
    packets: int
    bytes_on_wire: int
    bytes_captured: int
    first: datetime | None
    last: datetime | None
    first_ns: int | None
    last_ns: int | None
    link_types: tuple[int, ...]
    snaplen: int
    flags: tuple[str, ...]
    damage_offset: int | None
    damage: str

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know about the packets that could be read, a line each: about their times and lengths."""
        return tuple(FLAGS[flag] for flag in self.flags if flag in _NOTED)

    @property
    def lost(self) -> str:
        """What was lost, and after which byte of the unpacked file, one line; empty if nothing."""
        if not self.damage or not self.damage_offset:
            return self.damage
        return f"from byte {self.damage_offset:,} on: {self.damage}"


def moment(nanoseconds: int | None) -> datetime | None:
    """The time of `nanoseconds` since 1970 UTC, rounded down to microseconds; None if not representable."""
    if nanoseconds in (None, NO_TIME):
        return None
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1_000)
    except OverflowError:
        return None
