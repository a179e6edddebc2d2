"""Rows of Logpush's dataset `network_analytics_logs`, as records: a row is a packet that was sampled.

A row is JSON, and the customer chooses its fields: each may be missing. The layouts are those of `rows.c`.
Numbers are in native byte order.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgecap.packets.columns import Rows
from edgecap.packets.native import rows as native

RECORD: Final = np.dtype(
    [
        ("time", "i8"),  # nanoseconds since 1970 UTC; `inspection.NO_TIME` if the row has none
        ("present", "u8"),  # bit N: the row has the field `FIELDS[N]`, and its value was understood
        ("source", "u1", (16,)),  # an IPv4 address is mapped: ::ffff:203.0.113.7
        ("destination", "u1", (16,)),
        ("sample_interval", "u4"),  # N of 1 in N; 0 if the row does not tell
        ("source_asn", "u4"),
        # Numbers of texts, 0 for none.
        ("system", "u4"),
        ("reason", "u4"),
        ("rule", "u4"),
        ("rule_name", "u4"),
        ("attack", "u4"),
        ("vector", "u4"),
        ("colo", "u4"),
        ("country", "u4"),
        ("asn_name", "u4"),
        ("tcp_sequence", "u4"),
        ("tcp_acknowledgement", "u4"),
        ("timestamp_value", "u4"),
        ("timestamp_echo", "u4"),
        ("gre_key", "u4"),
        ("gre_sequence", "u4"),
        ("flow_label", "u4"),
        ("identification", "u4"),
        ("source_port", "u2"),
        ("destination_port", "u2"),
        ("total_length", "u2"),
        ("fragment_offset", "u2"),
        ("ip_checksum", "u2"),
        ("tcp_checksum", "u2"),
        ("udp_checksum", "u2"),
        ("icmp_checksum", "u2"),
        ("gre_checksum", "u2"),
        ("tcp_window", "u2"),
        ("tcp_urgent", "u2"),
        ("mss", "u2"),
        ("udp_payload", "u2"),
        ("gre_type", "u2"),
        ("protocol", "u1"),
        ("version", "u1"),  # 4 or 6, from the addresses
        ("ttl", "u1"),
        ("ip_header", "u1"),
        ("dscp", "u1"),
        ("ecn", "u1"),
        ("dont_fragment", "u1"),
        ("more_fragments", "u1"),
        ("tcp_flags", "u1"),
        ("tcp_offset", "u1"),
        ("window_scale", "u1"),
        ("sack_permitted", "u1"),
        ("icmp_type", "u1"),
        ("icmp_code", "u1"),
        ("gre_version", "u1"),
        ("gre_header", "u1"),
        ("outcome", "u1"),  # `PASSED`, `DROPPED`, another number, or 0 if the row does not tell
        ("ingress", "u1"),  # 1 ingress, 2 egress, 0 if the row does not tell
        ("unused", "u1", (6,)),
    ]
)
"""One row."""

TEXT: Final = np.dtype([("at", "u4"), ("hash", "u4"), ("length", "u2"), ("unused", "u2")])
"""A text in a pool."""

if (RECORD.itemsize, TEXT.itemsize) != (native.RECORD_SIZE, native.TEXT_SIZE):
    raise ImportError("edgecap.packets.native.rows was built from another version; run `make setup`")

FIELDS: Final = tuple(native.FIELDS)
"""The fields that are read, by the numbers of their bits."""
PASSED, DROPPED = native.PASS, native.DROP

BATCH = 1 << 13  # rows at a time: they fit into a processor's cache
LONGEST_LINE = 1 << 20  # bytes; a row with all fields has about two thousand
_TEXTS = 1 << 16  # different texts that are told apart
_POOL = 1 << 22  # their bytes
_LONGEST_SHOWN = 64  # bytes of a text in a comment


def bit(field: str) -> np.uint64:
    """The bit of a field in a record's `present`."""
    return np.uint64(1 << FIELDS.index(field))


class Texts:
    """The texts of rows, such as rules and names of networks, each once.

    Attributes:
        shown: `TEXT` by number: what of a text goes into comments.
        shown_pool: their bytes, UTF-8.
    """

    def __init__(self) -> None:
        self.index = np.zeros(2 * _TEXTS, "u4")
        self.entries = np.zeros(_TEXTS, TEXT)
        self.pool = np.zeros(_POOL, "u1")
        # Texts in use (the first stands for none), bytes in use, texts without room, the seed of the hash.
        self.state = np.array([1, 0, 0, int.from_bytes(os.urandom(4), "little")], "u8")
        self.shown = np.zeros(_TEXTS, TEXT)
        self.shown_pool = np.zeros(_TEXTS * _LONGEST_SHOWN, "u1")
        self._texts = [""]
        self._shown_used = 0

    def __repr__(self) -> str:
        return f"<Texts [{len(self)}]>"

    def __len__(self) -> int:
        return int(self.state[0])

    @property
    def without_room(self) -> int:
        """How often a text was left out, because there are too many."""
        return int(self.state[2])

    def __getitem__(self, number: int) -> str:
        self.learn()
        return self._texts[number]

    def learn(self) -> None:
        """Prepare the texts that are new since the last call."""
        for number in range(len(self._texts), len(self)):
            entry: Any = self.entries[number]
            text = _plain(self.pool[int(entry["at"]) : int(entry["at"]) + int(entry["length"])].tobytes())
            self._texts.append(text)
            shown = text.encode()[:_LONGEST_SHOWN].decode(errors="ignore").encode()
            end = self._shown_used + len(shown)
            self.shown_pool[self._shown_used : end] = np.frombuffer(shown, "u1")
            self.shown[number] = (self._shown_used, 0, len(shown), 0)
            self._shown_used = end


def _plain(raw: bytes) -> str:
    """A JSON string between its quotes, on one line, without what a terminal would act on."""
    text = raw.decode(errors="replace")
    if "\\" in text:
        with suppress(ValueError):
            text = str(json.loads(f'"{text}"'))
        text = text.encode(errors="replace").decode()  # a lone surrogate
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


@dataclass(slots=True)
class LineCounts:
    """What became of the lines of files.

    Attributes:
        lines: all, blank ones too.
        blank: with nothing.
        broken: no JSON object, or longer than `LONGEST_LINE`.
        foreign: a JSON object without an address or a protocol: a row of another dataset.
        not_understood: values of known fields that are none, such as a port of 70,000.
        cut: the last line of a file, if it is not whole.
    """

    lines: int = 0
    blank: int = 0
    broken: int = 0
    foreign: int = 0
    not_understood: int = 0
    cut: int = 0


class RowReader:
    """Takes the bytes of files of rows as they come, and gives records.

    Memory does not grow with the files: records stand in one array that is used again and again.

    Attributes:
        texts: what the records' numbers of texts stand for.
    """

    def __init__(self, texts: Texts | None = None) -> None:
        self.texts = texts or Texts()
        self._records: Rows = np.zeros(BATCH, RECORD)
        self._filled = 0
        self._counts: NDArray[np.uint64] = np.zeros(5, "u8")
        self._cut = 0
        self._too_long = 0
        self._held = b""
        self._skipping = False

    def __repr__(self) -> str:
        return f"<RowReader {self.counts}>"

    @property
    def counts(self) -> LineCounts:
        """What became of the lines so far."""
        lines, blank, broken, foreign, odd = self._counts.tolist()
        return LineCounts(
            lines=lines + self._too_long,
            blank=blank,
            broken=broken + self._too_long - self._cut,
            foreign=foreign,
            not_understood=odd,
            cut=self._cut,
        )

    def feed(self, piece: bytes) -> Iterator[Rows]:
        """Add the next bytes of a file. Each batch of `RECORD`s is valid until the next one."""
        if self._skipping:
            _, newline, piece = piece.partition(b"\n")
            if not newline:
                return
            self._skipping = False
        yield from self._read(self._held + piece)
        if len(self._held) > LONGEST_LINE:
            self._too_long += 1
            self._held = b""
            self._skipping = True

    def end_file(self) -> Iterator[Rows]:
        """A file ends here: what is held of its last line is a row, or one that was cut off."""
        held, self._held, self._skipping = self._held, b"", False
        if held.strip():
            before = int(self._counts[2])
            yield from self._read(held + b"\n")
            self._cut += int(self._counts[2]) - before

    def finish(self) -> Iterator[Rows]:
        """The records that are left."""
        if self._filled:
            yield self._records[: self._filled]
            self._filled = 0

    def _read(self, data: bytes) -> Iterator[Rows]:
        texts, position = self.texts, 0
        while True:
            position, self._filled = native.read(
                data,
                position,
                self._records,
                self._filled,
                texts.index,
                texts.entries,
                texts.pool,
                texts.state,
                self._counts,
            )
            if self._filled < BATCH:
                break
            yield self._records[: self._filled]
            self._filled = 0
        self._held = data[position:]
