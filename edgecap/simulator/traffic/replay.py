"""Recorded packets, replayed as if they happened now."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from edgecap.errors import ConfigError
from edgecap.simulator.traffic import colos
from edgecap.simulator.traffic.base import Packet
from edgecap.simulator.traffic.dissect import flow_number
from edgecap.simulator.traffic.recording import Recording
from edgecap.simulator.traffic.times import MILLISECOND, UNIX_EPOCH, nanoseconds


class ReplayTraffic:
    """The packets of capture files, moved in time, spread over a city's servers by flow.

    The files are merged by their time stamps into one recording; gaps of hours remain. All packets of a
    conversation, in both directions, go to the same server, in every process.

    Args:
        files: pcap or pcapng, of one link type. They are read in place, not loaded.
        loop: repeat the recording for ever; otherwise there is nothing before and after it.
        epoch: aware; the (first) start of the recording. None: 1970 if it loops, so that any window has
            packets, else its original time.
        city: the city whose servers receive the packets; None: all servers of the map.

    Raises:
        ConfigError: a file is missing, broken, empty or of another link type, or the city does not exist.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        loop: bool = True,
        epoch: datetime | None = None,
        city: str | None = "ORD",
    ) -> None:
        servers = colos.servers(city)
        if not servers:
            raise ConfigError(f"unknown data centre {city!r}", hint=f"give one of {', '.join(colos.CITIES)}")
        if not files:
            raise ConfigError("there is no file to replay", hint="give at least one pcap or pcapng file")
        self._recordings: list[Recording] = []
        try:
            for path in files:
                self._recordings.append(Recording(path))
            self.link_type = self._one_link_type()
        except BaseException:
            self.close()
            raise
        self._loop = loop
        self._servers = servers
        self._merge()
        recorded = self._first
        self._epoch = nanoseconds(epoch) if epoch else (nanoseconds(UNIX_EPOCH) if loop else recorded)

    def __repr__(self) -> str:
        names = ", ".join(recording.path.name for recording in self._recordings)
        return f"<ReplayTraffic {names} [{len(self._times)} packets{', looping' * self._loop}]>"

    def servers(self, colo: str) -> list[str]:
        """The physical servers of a data centre (`ord02`) or a city (`ORD`); empty if unknown."""
        return colos.servers(colo)

    def packets(self, start: datetime, end: datetime, *, colo: str | None = None) -> Iterator[Packet]:
        """Packets with `start <= time < end`, in order of time, at `colo` (case-blind) or everywhere.

        Raises:
            InvalidRequest: a time has no time zone.
        """
        here = set(colos.servers(colo))
        return self._between(nanoseconds(start) - self._epoch, nanoseconds(end) - self._epoch, here)

    def close(self) -> None:
        """Close the files."""
        for recording in self._recordings:
            recording.close()

    def _one_link_type(self) -> int:
        first = self._recordings[0]
        for other in self._recordings[1:]:
            if other.link_type != first.link_type:
                raise ConfigError(
                    f"the recordings have different link types, {first.link_type} and {other.link_type}",
                    where=str(other.path),
                    hint="replay them apart",
                )
        return first.link_type

    def _merge(self) -> None:
        """Sort all packets by time: their times from the first one, and their positions."""
        order = sorted(
            (time, source, number)
            for source, recording in enumerate(self._recordings)
            for number, time in enumerate(recording.times)
        )
        self._first = order[0][0]
        self._times = array("q", (time - self._first for time, _, _ in order))
        self._sources = array("H", (source for _, source, _ in order))
        self._numbers = array("L", (number for _, _, number in order))
        self._places = array(
            "H",
            (
                flow_number(self._recordings[source].frame(number), self.link_type) % len(self._servers)
                for _, source, number in order
            ),
        )
        # A round ends one mean gap after the last packet, to separate it from the first of the next round.
        length = self._times[-1]
        self._round = length + max(length // len(order), MILLISECOND)

    def _between(self, start: int, end: int, here: set[str]) -> Iterator[Packet]:
        rounds = range(max(start // self._round, 0), max(-(-end // self._round), 0))
        for turn in rounds if self._loop else rounds[:1] if 0 in rounds else ():
            begin = turn * self._round
            at = bisect_left(self._times, start - begin)
            while at < len(self._times) and self._times[at] + begin < end:
                server = self._servers[self._places[at]]
                if server in here:
                    frame = self._recordings[self._sources[at]].frame(self._numbers[at])
                    yield Packet(self._epoch + begin + self._times[at], frame, server)
                at += 1
