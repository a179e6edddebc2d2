"""What the edge passed and dropped, from Logpush's rows: sums, and headers of dropped packets as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edgecap.analytics.dropped import Dropped
from edgecap.analytics.estimates import RowSums
from edgecap.analytics.header_packets import HeaderPackets
from edgecap.analytics.logpush import Read, Wanted, find_files, read_rows
from edgecap.analytics.rows import Texts
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.summarize import summarize
from edgecap.packets.summary import Summary
from edgecap.packets.verdict.conditions import Conditions
from edgecap.packets.writer import new_packet_file
from edgecap.stores.base import ObjectInfo, Store
from edgecap.units import plural, size, stamp

MOST = 4_000_000_000
"""Bytes of files that are read, packed; some two hundred million rows."""


@dataclass(frozen=True, slots=True)
class FromRows:
    """What the rows tell.

    Attributes:
        dropped: all of it but the file's place.
        packets: packets in the file; 0: there is no file.
        lacking: how many of them lack what.
        not_a_packet: dropped rows without a source address or a protocol.
        summary: of the packets.
    """

    dropped: Dropped
    packets: int
    lacking: dict[str, int]
    not_a_packet: int
    summary: Summary


def dropped_from_rows(bucket: Store, wanted: Wanted, target: Path, *, now: datetime) -> FromRows | None:
    """Read the rows of a window, add them up, and write the dropped ones as packets.

    Args:
        bucket: where the days of Logpush's files lie.
        wanted: which rows.
        target: the file of packets; it is not there if no row is of a dropped packet.
        now: the time, aware.

    Returns:
        None if there is no file of the window.

    Raises:
        StoreError: the bucket cannot be listed, or the file cannot be written.
    """
    found = find_files(bucket, wanted.since, wanted.until)
    if not found:
        return None
    files = _within(found)
    texts, read, table = Texts(), Read(), FlowTable()
    sums = RowSums(texts, wanted.since, wanted.until)
    with new_packet_file(target) as writer:
        comment = (
            f"Headers of packets to {', '.join(wanted.targets)} that Cloudflare's edge dropped, "
            f"{stamp(wanted.since)} to {stamp(wanted.until)}; from Logpush's rows, by edgecap"
        )
        writer.begin([comment.encode()])
        packets = HeaderPackets(writer, table, texts)
        for rows in read_rows(bucket, files, wanted, read, texts):
            sums.add(rows)
            packets.add(rows)
        packets.finish()
    table.finish()
    if not packets.packets:
        target.unlink()
    seconds = (wanted.until - wanted.since).total_seconds()
    summary = summarize(table, conditions=Conditions(one_way=True, window=seconds))
    passed, dropped, other = sums.totals
    told = Dropped(
        source="logpush",
        asked=now,
        targets=wanted.targets,
        since=wanted.since,
        until=wanted.until,
        sampling=sums.sampling,
        samples=sums.rows,
        passed=passed,
        dropped=dropped,
        other=other,
        passed_bits=sums.bits[0],
        dropped_bits=sums.bits[1],
        groupings=tuple(sums.groupings()),
        series=sums.series if sums.rows else None,
        notes=tuple(_notes(read, sums, found, files)),
    )
    return FromRows(told, packets.packets, packets.lacking, packets.not_a_packet, summary)


def _within(files: Sequence[ObjectInfo]) -> list[ObjectInfo]:
    kept, total = [], 0
    for each in files:
        total += each.size
        if total > MOST:
            break
        kept.append(each)
    return kept


def _notes(read: Read, sums: RowSums, found: Sequence[ObjectInfo], files: Sequence[ObjectInfo]) -> list[str]:
    notes = read.unusable()
    if left := len(found) - len(files):
        notes.insert(0, f"{plural(left, 'file')} not read, since there are more than {size(MOST)}")
    if sums.unweighted:
        notes.append(
            f"{plural(sums.unweighted, 'row')} without a sample interval, counted as one packet each"
        )
    return notes
