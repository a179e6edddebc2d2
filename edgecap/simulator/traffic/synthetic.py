"""Synthetic traffic that looks like a customer's, for any time, without state."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from operator import attrgetter, itemgetter
from random import Random

from edgecap.simulator.traffic import colos, conversations
from edgecap.simulator.traffic.attacks import Attack, occurrences, strike, timetable
from edgecap.simulator.traffic.base import Packet
from edgecap.simulator.traffic.conversations import LONGEST, Scene
from edgecap.simulator.traffic.dissect import ETHERNET
from edgecap.simulator.traffic.payloads import Payloads
from edgecap.simulator.traffic.times import SECOND, UNIX_EPOCH, nanoseconds

_FLOWS: tuple[tuple[Callable[[Scene], None], float], ...] = (
    (conversations.visit, 0.20),
    (conversations.download, 0.06),
    (conversations.quic, 0.14),
    (conversations.dns_question, 0.28),
    (conversations.dns_answer, 0.12),
    (conversations.ping, 0.06),
    (conversations.pong, 0.04),
    (conversations.scan, 0.10),
)
RATE = 250.0  # packets a second
_TIME, _TIME_OF_PACKET = itemgetter(0), attrgetter("time_ns")
_MAKERS = [flow for flow, _ in _FLOWS]
_SHARES = [sum(share for _, share in _FLOWS[: number + 1]) for number in range(len(_FLOWS))]


def add_flow(scene: Scene) -> None:
    """Add a flow of ordinary traffic, of a kind by chance."""
    _MAKERS[min(bisect_left(_SHARES, scene.rng.random()), len(_MAKERS) - 1)](scene)


class SyntheticTraffic:
    """Seeded traffic: a pure function of seed, time and server.

    It is Magic Transit's view: **inbound only**. Cloudflare announces the customer's prefix, so packets to it
    arrive at the edge, while the customer's answers leave through its own uplink. A visit to the web site is
    therefore only the client's half (SYN, ACK, request, acknowledgements, uploads, FIN), and a download by a
    machine of the customer is only the remote server's half (SYN-ACK, data of up to 1514 bytes, FIN).

    The customer has 203.0.113.0/24 and 2001:db8:203::/48, a web server at .7 and ::7 (ports 80 and 443) and
    a name server at .53 and ::53. Outside hosts are in 198.51.100.0/24, 192.0.2.0/24 and 2001:db8:51::/48.
    All are documentation ranges.

    Each second of each server has its own random numbers, so that a window of yesterday costs no more than
    one of now, and overlapping windows agree. The future can be read, too.

    Args:
        seed: another seed gives other packets.
        rate: ordinary packets a second at each server of the busy city, ORD; elsewhere a third of it.
        attacks: the attacks; None means `timetable(epoch)`, an empty sequence none.
        epoch: aware; the start of the timetable.
    """

    link_type = ETHERNET

    def __init__(
        self,
        seed: int = 1,
        *,
        rate: float = RATE,
        attacks: Sequence[Attack] | None = None,
        epoch: datetime = UNIX_EPOCH,
    ) -> None:
        self._seed = seed
        self._rate = rate
        self._attacks = timetable(epoch) if attacks is None else tuple(attacks)
        self._payloads = Payloads(seed)
        # Merging all servers in time order needs the last `LONGEST` seconds of each.
        self._made = lru_cache(maxsize=(LONGEST + 1) * len(colos.ALL_SERVERS))(self._make)

    def __repr__(self) -> str:
        return (
            f"<SyntheticTraffic [seed {self._seed}, {self._rate:g} packets/s, {len(self._attacks)} attacks]>"
        )

    def servers(self, colo: str) -> list[str]:
        """The physical servers of a data centre (`ord02`) or a city (`ORD`); empty if unknown."""
        return colos.servers(colo)

    def packets(self, start: datetime, end: datetime, *, colo: str | None = None) -> Iterator[Packet]:
        """Packets with `start <= time < end`, in order of time, at `colo` (case-blind) or everywhere.

        Raises:
            InvalidRequest: a time has no time zone.
        """
        servers = [server for server in colos.servers(colo) if server in colos.USUAL_WEIGHTS]
        return self._between(nanoseconds(start), nanoseconds(end), servers)

    def attacks(self, start: datetime, end: datetime) -> list[tuple[Attack, datetime, datetime]]:
        """The attacks that overlap `start <= t < end`, each with its start and end (UTC), by time."""
        return occurrences(self._attacks, start, end)

    def end_attacks(self, now: datetime) -> datetime | None:
        """End the attacks at `now` after the current second; they do not recur.

        Past windows do not change.

        Args:
            now: aware; no window after it has been read yet.

        Returns:
            When they end, UTC; None if there are none.

        Raises:
            InvalidRequest: the time has no time zone.
        """
        end = UNIX_EPOCH + timedelta(seconds=nanoseconds(now) // SECOND + 1)
        ended = {attack for attack, _, _ in self.attacks(now, now + timedelta(microseconds=1))}
        self._attacks = tuple(replace(each, until=end) if each in ended else each for each in self._attacks)
        return end if ended else None

    def close(self) -> None:
        """Drop the cache; the packets can be made again."""
        self._made.cache_clear()

    def _between(self, start: int, end: int, servers: list[str]) -> Iterator[Packet]:
        for second in range(start // SECOND, -(-end // SECOND)):
            packets: list[Packet] = []
            for server in servers:
                for ago in range(LONGEST):
                    packets += self._made(server, second - ago)[ago]
            packets.sort(key=_TIME_OF_PACKET)
            if start > second * SECOND:
                del packets[: bisect_left(packets, start, key=_TIME_OF_PACKET)]
            if end < (second + 1) * SECOND:
                del packets[bisect_left(packets, end, key=_TIME_OF_PACKET) :]
            yield from packets

    def _make(self, server: str, second: int) -> tuple[list[Packet], ...]:
        """All flows that start at `server` in this second since 1970, by the second of their packets."""
        start = second * SECOND
        weight, macs = colos.USUAL_WEIGHTS[server], colos.macs(server)
        scene = Scene(Random(f"{self._seed}/{server}/{second}"), self._payloads, start, macs)
        _fill(scene, self._rate * weight)
        out = scene.out
        for number, attack in enumerate(self._attacks):
            if attack.spans(start, start + SECOND):
                rng = Random(f"{self._seed}/{server}/{second}/{number}")
                out += strike(attack, rng, self._payloads, start, weight, macs)
        out.sort(key=_TIME)
        parts: tuple[list[Packet], ...] = tuple([] for _ in range(LONGEST))
        for time, frame in out:
            parts[(time - start) // SECOND].append(Packet(time, frame, server))
        return parts


def _fill(scene: Scene, rate: float) -> None:
    """Flows until about `rate` packets are there; the last stays by chance, so that the mean is right."""
    rng, out = scene.rng, scene.out
    wanted = rate * (0.85 + 0.3 * rng.random())
    while len(out) < wanted:
        before = len(out)
        add_flow(scene)
        over = len(out) - wanted
        if over > 0 and rng.random() * (len(out) - before) < over:
            del out[before:]
            return
