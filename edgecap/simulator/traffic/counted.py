"""Synthetic traffic whose packets can be counted and sampled without being made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from edgecap.simulator.traffic import colos, recipes
from edgecap.simulator.traffic.attacks import Attack, occurrences
from edgecap.simulator.traffic.base import Packet
from edgecap.simulator.traffic.conversations import LONGEST
from edgecap.simulator.traffic.marks import Dice, Marks, derived, named, part_of_one
from edgecap.simulator.traffic.mitigation import FIREWALL, Rule, attack_id_of, dropped_by, rules_against
from edgecap.simulator.traffic.spread import CITY_OF_SERVER, STEP, USUAL, Spread, places_of
from edgecap.simulator.traffic.synthetic import RATE, SyntheticTraffic
from edgecap.simulator.traffic.times import SECOND, UNIX_EPOCH, nanoseconds

Ints = NDArray[np.int64]
_JITTER, _LEAST = 0.3, 0.85  # a server's rate varies from second to second
_BUSY_CITY = "ORD"
# Marks are derived with these numbers, so that no decision depends on another: of a cell, which is a server
# in a second, those of its flows come after; of a flow, those of its packets come before.
_VARY, _ROUND, _FLOWS = 0, 1, 16
_BEGIN = 1 << 20
_DRAW = 1000
_TIME = attrgetter("time_ns")


@dataclass(frozen=True, slots=True)
class Columns:
    """Packets as columns, one element each.

    Attributes:
        time_ns: nanoseconds since 1970 UTC.
        server: position in `colos.ALL_SERVERS`.
        flow: the mark of its flow.
        part: its position in its flow.
        shape: its position in the arrays of the source's recipes.
        mark: its own mark, from which samples are drawn.
        rule: the number of the rule in the source's `rules` that drops it, from 1; 0 if it passes.
    """

    time_ns: Ints
    server: Ints
    flow: Marks
    part: Ints
    shape: Ints
    mark: Marks
    rule: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.time_ns)

    def at(self, number: int) -> Columns:
        """One packet of them."""
        return Columns(*(getattr(self, name)[number : number + 1] for name in self.__slots__))

    def where(self, chosen: NDArray[np.bool_] | Ints) -> Columns:
        """The chosen packets, by a mask or by their positions."""
        return Columns(*(getattr(self, name)[chosen] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class _Cells:
    """Servers in seconds: of each cell its second and its server, and of each flow its cell."""

    second: Ints
    server: Ints
    at: Ints


class Source:
    """One source of packets: ordinary traffic, or one occurrence of an attack.

    Attributes:
        attack: the attack, or None.
        attack_id: its id, or empty.
        rules: the rules that its packets meet.
        recipes: the shapes of its flows.
        servers: positions in `colos.ALL_SERVERS` of the servers that its packets reach.
        begin: when its first packet can be, nanoseconds since 1970 UTC.
        end: when it is over; 0 for ordinary traffic, which does not end.
    """

    def __init__(
        self,
        name: str,
        shapes: recipes.Recipes,
        rate: float,
        spread: Spread | None,
        rules: Sequence[Rule],
        *,
        attack: Attack | None = None,
        attack_id: str = "",
        begin: int = 0,
        end: int = 0,
    ) -> None:
        self.recipes = shapes
        self.rules = tuple(rules)
        self.attack = attack
        self.attack_id = attack_id
        self.spread = spread
        reached = USUAL > 0
        if spread is not None:
            reached = np.isin(CITY_OF_SERVER, [colos.CITIES.index(city) for city in spread.cities])
        self.servers = np.flatnonzero(reached)
        self._mark = named(name)
        self._flows = rate / shapes.mean
        self.begin, self.end = begin, end
        self._end = end or 1 << 62
        self._counts = lru_cache(maxsize=128)(self._count)

    def __repr__(self) -> str:
        return f"<Source {self.attack.kind if self.attack else 'ordinary'} {self.spread}>"

    def columns(
        self, first: int, last: int, servers: Ints | None = None, *, one_in: int = 1, stage: int = 0
    ) -> Columns:
        """The packets of all flows that start in a second from `first` to before `last`.

        Args:
            first: seconds since 1970 UTC.
            last: seconds since 1970 UTC.
            servers: positions in `colos.ALL_SERVERS`; None: all.
            one_in: only a sample, in which each packet is with the same chance, one in so many. A smaller
                sample is a part of a larger one.
            stage: samples of one stage are parts of each other, those of two are independent.
        """
        cells, flow = self._flows_of(first, last, servers)
        shape = (flow & np.uint64(self.recipes.count - 1)).astype(np.int64)
        if self.recipes.longest == 1:
            of_flow, part = np.arange(len(flow)), np.zeros(len(flow), np.int64)
        else:
            lengths = self.recipes.packets[shape]
            of_flow = np.repeat(np.arange(len(flow)), lengths)
            part = np.arange(len(of_flow)) - (np.cumsum(lengths) - lengths)[of_flow]
        mark = derived(flow[of_flow], part)
        if one_in > 1:
            draw = derived(mark, _DRAW + stage) if stage else mark
            kept = np.flatnonzero(draw < np.uint64((1 << 64) // one_in))
            of_flow, part, mark = of_flow[kept], part[kept], mark[kept]
        flow, cell = flow[of_flow], cells.at[of_flow]
        position = self.recipes.first[shape[of_flow]] + part
        # An attack may begin or end within a second.
        low = np.maximum(cells.second[cell] * SECOND, self.begin)
        high = np.minimum((cells.second[cell] + 1) * SECOND, self._end)
        begin = low + (part_of_one(derived(flow, _BEGIN)) * (high - low)).astype(np.int64)
        time_ns = begin + self.recipes.later[position]
        rule = np.zeros(len(part), np.uint8)
        if self.attack is not None:
            rule = dropped_by(self.rules, mark, time_ns - self.begin)
        elif self.rules:
            rule[self.recipes.blocked[position]] = 1
        return Columns(time_ns, cells.server[cell], flow, part, position, mark, rule)

    def packets(self, columns: Columns) -> list[Packet]:
        """The packets of columns, made. Packets of one flow are best given together."""
        made = []
        dice = Dice(), Dice()
        flow, frames = -1, []
        for time_ns, server, mark, part, rule in zip(
            columns.time_ns.tolist(),
            columns.server.tolist(),
            columns.flow.tolist(),
            columns.part.tolist(),
            columns.rule.tolist(),
            strict=True,
        ):
            name = colos.ALL_SERVERS[server]
            if mark != flow:
                flow = mark
                frames = self.recipes.frames(mark & self.recipes.count - 1, mark, colos.macs(name), dice)
            made.append(Packet(time_ns, frames[part][1], name, self.rules[rule - 1] if rule else None))
        return made

    def _flows_of(self, first: int, last: int, servers: Ints | None) -> tuple[_Cells, Marks]:
        """The marks of all flows that start in these seconds, and where and when."""
        first = max(first, self.begin // SECOND)
        last = max(first, min(last, -(-self._end // SECOND)))
        here = np.arange(len(self.servers))
        if servers is not None:
            here = np.flatnonzero(np.isin(self.servers, servers))
        if first == last or not len(here):
            nothing = np.zeros(0, np.int64)
            return _Cells(nothing, nothing, nothing), nothing.astype(np.uint64)
        steps = [self._counts(step) for step in range(first // STEP, -(-last // STEP))]
        rows = slice(first - first // STEP * STEP, last - first // STEP * STEP)
        counts = np.concatenate([count for count, _ in steps])[rows, here].ravel()
        marks = np.concatenate([cell for _, cell in steps])[rows, here].ravel()
        cells = _Cells(
            np.repeat(np.arange(first, last), len(here)),
            np.tile(self.servers[here], last - first),
            np.repeat(np.arange(len(counts)), counts),
        )
        number = np.arange(len(cells.at)) - (np.cumsum(counts) - counts)[cells.at]
        return cells, derived(marks[cells.at], number + _FLOWS)

    def _count(self, step: int) -> tuple[Ints, Marks]:
        """The flows that start in each second of a step at each server, and the marks of these cells."""
        seconds = np.arange(step * STEP, (step + 1) * STEP)
        cells = derived(derived(self._mark, seconds)[:, None], self.servers)
        weights = (USUAL if self.spread is None else self.spread.weights(step))[self.servers]
        low = np.maximum(seconds * SECOND, self.begin)
        part = np.clip((np.minimum((seconds + 1) * SECOND, self._end) - low) / SECOND, 0, 1)
        varied = _LEAST + _JITTER * part_of_one(derived(cells, _VARY))
        mean = self._flows * part[:, None] * weights[None, :] * varied
        return (mean + part_of_one(derived(cells, _ROUND))).astype(np.int64), cells


class CountedTraffic(SyntheticTraffic):
    """Synthetic traffic that may be spread over all cities, and that the edge may drop some of.

    It looks like `SyntheticTraffic`, and a window of it costs as much. What it adds: `columns` has every
    packet of any window, passed or dropped, without making frames, which takes a thousandth of the time.

    Args:
        seed: another seed gives other packets.
        rate: ordinary packets a second; those of `SyntheticTraffic` of this rate, over all servers.
        attacks: the attacks; None means `timetable(epoch)`, an empty sequence none.
        epoch: aware; the start of the timetable.
        spread: whether packets arrive at all cities by a Zipf share, those of an attack at some of them; if
            not, they arrive where `SyntheticTraffic` has them.
        mitigate: whether the edge drops packets.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        rate: float = RATE,
        attacks: Sequence[Attack] | None = None,
        epoch: datetime = UNIX_EPOCH,
        spread: bool = True,
        mitigate: bool = False,
    ) -> None:
        super().__init__(seed, rate=rate, attacks=attacks, epoch=epoch)
        self._spread = spread
        self._mitigate = mitigate
        busy = Spread(f"{seed}/ordinary", len(colos.CITIES), first=_BUSY_CITY) if spread else None
        shapes = recipes.ordinary(seed, self._payloads)
        rules = [FIREWALL] if mitigate else []
        self._ordinary = Source(f"{seed}/ordinary", shapes, rate, busy, rules)
        self._source_of = lru_cache(maxsize=512)(self._source)

    def sources(self, start: int, end: int) -> list[Source]:
        """The sources of packets with `start <= time < end`, nanoseconds since 1970 UTC."""
        low = datetime.fromtimestamp(start // SECOND - LONGEST, UTC)
        found = occurrences(self._attacks, low, datetime.fromtimestamp(-(-end // SECOND), UTC))
        return [self._ordinary, *(self._source_of(attack, begin, finish) for attack, begin, finish in found)]

    def columns(self, source: Source, start: int, end: int) -> Columns:
        """All packets of a source with `start <= time < end`, in no order; nanoseconds since 1970 UTC."""
        found = source.columns(start // SECOND - LONGEST + 1, -(-end // SECOND))
        return found.where((found.time_ns >= start) & (found.time_ns < end))

    def everything(self, start: datetime, end: datetime, *, colo: str | None = None) -> Iterator[Packet]:
        """Like `packets`, with those that the edge drops: their `dropped_by` says which rule does."""
        return self._all(nanoseconds(start), nanoseconds(end), colos.servers(colo), dropped=True)

    def packets(self, start: datetime, end: datetime, *, colo: str | None = None) -> Iterator[Packet]:
        """Packets that pass, with `start <= time < end`, in order of time, at `colo` or everywhere.

        Raises:
            InvalidRequest: a time has no time zone.
        """
        return self._all(nanoseconds(start), nanoseconds(end), colos.servers(colo), dropped=False)

    def _all(self, start: int, end: int, servers: Iterable[str], *, dropped: bool) -> Iterator[Packet]:
        places = np.array([colos.ALL_SERVERS.index(server) for server in servers], np.int64)
        waiting: list[Packet] = []
        # Flows overlap: what begins in a second may end two seconds later.
        for second in range(start // SECOND - LONGEST + 1, -(-end // SECOND)):
            for source in self.sources(second * SECOND, (second + 1) * SECOND):
                found = source.columns(second, second + 1, places)
                waiting += source.packets(found if dropped else found.where(found.rule == 0))
            waiting.sort(key=_TIME)
            ready = 0
            for packet in waiting:
                if packet.time_ns >= (second + 1) * SECOND:
                    break
                ready += 1
                if start <= packet.time_ns < end:
                    yield packet
            del waiting[:ready]

    def _source(self, attack: Attack, begin: datetime, finish: datetime) -> Source:
        start = nanoseconds(begin)
        attack_id = attack_id_of(attack, start)
        name = f"{self._seed}/{attack.kind}/{attack.target}/{attack.port}/{attack_id}/{start}"
        return Source(
            name,
            recipes.of_attack(self._seed, self._payloads, attack),
            attack.rate,
            Spread(name, places_of(attack, name)) if self._spread else None,
            rules_against(attack, attack_id) if self._mitigate else (),
            attack=attack,
            attack_id=attack_id,
            begin=start,
            end=nanoseconds(finish),
        )
