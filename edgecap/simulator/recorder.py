"""Write packets into pcap files, one per server, on disk, never whole in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgecap.simulator.traffic import PcapWriter
from edgecap.simulator.traffic.base import Packet


@dataclass
class ServerFile:
    """A file being written.

    Attributes:
        server: the physical server, or empty if all share the file.
        path: its path.
        packets: packets so far.
    """

    server: str
    path: Path
    packets: int = 0


class Recorder:
    """Writes matching packets until a limit is reached.

    Args:
        folder: for the files; created if missing.
        link_type: of the frames.
        matching: whether a frame matches the filter.
        snaplen: maximum captured bytes per packet.
        packet_limit: maximum packets over all files.
        byte_limit: maximum frame bytes over all files; the packet that would exceed it is left out.
        per_server: one file per server, or one for all.
    """

    def __init__(
        self,
        folder: Path,
        link_type: int,
        matching: Callable[[bytes], bool],
        *,
        snaplen: int = 262_144,
        packet_limit: int | None = None,
        byte_limit: int | None = None,
        per_server: bool = True,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._link_type = link_type
        self._matching = matching
        self._snaplen = snaplen
        self._packet_limit = packet_limit
        self._byte_limit = byte_limit
        self._per_server = per_server
        self._open: dict[str, tuple[ServerFile, BinaryIO, PcapWriter]] = {}
        self.packets = 0
        self.size = 0
        self.limit = ""
        self.room: int | None = None
        """Free frame bytes of the simulator, over all files; None: no limit."""

    def __repr__(self) -> str:
        return f"<Recorder [{self.packets} packets, {self.size} bytes, {len(self._open)} files]>"

    def take(self, packets: Iterable[Packet]) -> int | None:
        """Write the matching packets.

        Returns:
            Time of the packet at which a limit was reached, in nanoseconds since 1970; None if none was.
        """
        for packet in packets:
            if not self._matching(packet.data):
                continue
            size = len(packet.data)
            if self._byte_limit is not None and self.size + size > self._byte_limit:
                self.limit = "byte_limit"
                return packet.time_ns
            if self.room is not None and self.size + size > self.room:
                self.limit = "hold_at_most"
                return packet.time_ns
            self.open_file(packet.server)[2].write(packet)
            self.packets += 1
            self.size += size
            if self.packets == self._packet_limit:
                self.limit = "packet_limit"
                return packet.time_ns
        return None

    def open_file(self, server: str) -> tuple[ServerFile, BinaryIO, PcapWriter]:
        """The server's file; created with its header if missing."""
        name = server if self._per_server else ""
        if name not in self._open:
            file = ServerFile(name, self._folder / f"{len(self._open)}.pcap")
            handle = file.path.open("wb")
            self._open[name] = (file, handle, PcapWriter(handle, self._link_type, self._snaplen))
        return self._open[name]

    def finish(self) -> list[ServerFile]:
        """Close all files, which are complete now."""
        for file, handle, writer in self._open.values():
            handle.close()
            file.packets = writer.packets
        return [file for file, _, _ in self._open.values()]
