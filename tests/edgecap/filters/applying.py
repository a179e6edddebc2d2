"""An expression applied to a file, with the same reader, filter and writer as a merge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecap.packets.inspection import Inspection
from edgecap.packets.packet_filter import PacketFilter
from edgecap.packets.reader import PacketReader, open_packets
from edgecap.packets.writer import PacketWriter, new_packet_file


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying an expression to a file has given.

    Attributes:
        path: the file with the packets that match.
        packets: how many could be read.
        kept: how many of them matched.
        size: bytes of the new file.
        inspection: of the file that was read; `damage` says what was lost.
    """

    path: Path
    packets: int
    kept: int
    size: int
    inspection: Inspection


def apply(expression: str, source: Path, target: Path) -> Applied:
    """Keep the packets of `source` that match in the new pcapng `target`; `source` stays as it is.

    Interfaces, times and order are kept. Packets of each link type are matched as tcpdump would match them.

    Raises:
        InvalidRequest: libpcap does not take the expression, or not for a link type that is in the file.
        ObjectMissing: there is no such source.
        ObjectExists: `target` is taken.
        StoreError: reading or writing failed; `target` is not there then.
    """
    with open_packets(source) as reader, new_packet_file(target) as writer:
        writer.begin(reader.comments)
        sieve = PacketFilter(expression, str(source))
        described = 0
        for batch in reader:
            described = _describe(reader, writer, source.name, described)
            kept = sieve.keep(batch, reader.interfaces)
            writer.append(kept)
        _describe(reader, writer, source.name, described)
        sieve.check(reader.interfaces)
        found = reader.inspection()
        packets, size = writer.packets, writer.size
    return Applied(target, found.packets, packets, size, found)


def _describe(reader: PacketReader, writer: PacketWriter, name: str, described: int) -> int:
    """Repeat the interfaces that the source has described since the last time; how many there are now."""
    for each in reader.interfaces[described:]:
        writer.interface(each, each.name or name)
    return len(reader.interfaces)
