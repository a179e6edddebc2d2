"""One capture of the corpus: what passed, what of it was kept, and the truth about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from random import Random

import numpy as np

from edgecap.packets.columns import PACKET, Batch, Interface
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.summarize import summarize
from edgecap.packets.summary import Summary
from edgecap.packets.verdict.conditions import Conditions, conditions_of
from edgecap.requests import Filter
from edgecap.simulator.corpus.attacks import ATTACKS, Attack
from edgecap.simulator.corpus.hosts import Host, target
from edgecap.simulator.corpus.packets import Made
from edgecap.simulator.corpus.services import SERVICES, clients_of

SAMPLINGS = (1, 10, 100, 1_000, 10_000)
STRENGTHS = (100, 300, 1_000, 3_000, 10_000)
"""Packets of the attack that are captured, beside some 1,000 of ordinary service."""
FILTERS = ("", "target", "protocol", "port")
PLACES = 46
"""Different customers: a host, the length of captures, and what its services do."""
_POOL = 8  # packets that pass for each that is kept, at most: then flows hardly have two that are kept
_SAMPLED_BYTES = 160
_NOON = 1_795_000_000 * 10**9
_ETHERNET = 1


@dataclass(frozen=True, slots=True)
class Spec:
    """What to build.

    Attributes:
        seed: another seed gives another capture.
        services: names of ordinary services, by their share.
        ordinary: packets of them that are kept, about.
        attack: its name; empty for none.
        strength: packets of the attack that are kept, about.
        sampling: one packet in so many is kept.
        filter: what the API filters by: nothing, the target, also the protocol, also the port.
        both_ways: whether the capture holds what the customer sends, too.
        baseline: how many captures of the same from before the attack there are.
        known: whether the sampling is known.
    """

    seed: int
    services: tuple[str, ...]
    ordinary: int = 1_000
    attack: str = ""
    strength: int = 0
    sampling: int = 1
    filter: str = ""
    both_ways: bool = False
    baseline: int = 0
    known: bool = True


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture and its truth.

    Attributes:
        summary: of the packets, judged without a baseline.
        passed: packets that passed the filter, of which some were kept.
        seconds: how long it is.
        attack: packets of the attack among those that were kept.
        before: summaries of earlier captures.
    """

    summary: Summary
    passed: int
    seconds: float
    attack: int
    before: tuple[Summary, ...] = field(default=())


def build(spec: Spec) -> Capture:
    """Build a capture, and those before it."""
    rng = Random(f"corpus/{spec.seed}/{spec.services}/{spec.attack}")
    place = Random(f"place/{spec.seed % PLACES}")
    host, seconds = target(place), place.choice((30.0, 60.0, 60.0, 120.0))
    summary, passed, of_attack = _capture(spec, rng, host, seconds)
    quiet = replace(spec, attack="", strength=0)
    before = tuple(
        _capture(quiet, Random(f"{spec.seed}/before/{number}"), host, seconds, asked=spec)[0]
        for number in range(spec.baseline)
    )
    return Capture(summary, passed, seconds, of_attack, before)


def _capture(
    spec: Spec, rng: Random, host: Host, seconds: float, *, asked: Spec | None = None
) -> tuple[Summary, int, int]:
    conditions, lets_through = _filter(spec, asked or spec, host, seconds)
    ordinary: list[Made] = []
    for service in spec.services:
        wanted = int(spec.ordinary * rng.uniform(0.7, 1.4)) // len(spec.services)
        ordinary += _kept(
            _service(service, spec.seed % PLACES, host.address[3], seconds), wanted, spec.sampling, rng
        )
    attack = _attacked(spec, rng, host, seconds) if spec.attack else []
    kept = [each for each in ordinary if _seen(each, spec) and lets_through(each)]
    struck = [each for each in attack if _seen(each, spec) and lets_through(each)]
    passed = (len(kept) + len(struck)) * spec.sampling
    final = _thin(kept + struck, passed, spec.sampling, rng)
    made = sorted(final, key=lambda each: each.time)
    return summarized(made, conditions, spec.sampling), passed, len(struck)


def _thin(made: list[Made], passed: int, sampling: int, rng: Random) -> list[Made]:
    """What chance keeps of what passed: `made` has as many as are expected, so some come twice."""
    if sampling == 1:
        return made
    count = int(np.random.default_rng(rng.getrandbits(64)).binomial(passed, 1 / sampling))
    rng.shuffle(made)
    if count <= len(made):
        return made[:count]
    return made + [rng.choice(made) for _ in range(count - len(made))] if made else []


def _seen(each: Made, spec: Spec) -> bool:
    return each.inbound or spec.both_ways


def _filter(spec: Spec, asked: Spec, host: Host, seconds: float) -> tuple[Conditions, Callable[[Made], bool]]:
    protocol, port = _main(asked, host, seconds)
    address = ".".join(map(str, host.address))
    fields = Filter()
    if spec.filter:
        fields = Filter(
            destination_address=None if asked.attack.startswith("carpet") else address,
            protocol=protocol if spec.filter in ("protocol", "port") else None,
            destination_port=port if spec.filter == "port" and port else None,
        )

    def lets_through(each: Made) -> bool:
        if not spec.filter:
            return True
        if fields.destination_address and each.frame[30:34] != host.address:
            return False
        if fields.protocol is not None and each.protocol != fields.protocol:
            return False
        return not (fields.destination_port is not None and (each.port != port or not each.inbound))

    sampled = spec.sampling > 1
    return (
        conditions_of(
            sampled=sampled,
            sampling=float(spec.sampling) if sampled and spec.known else None,
            fields=fields,
            at_edge=not spec.both_ways,
            window=seconds,
        ),
        lets_through,
    )


def _main(spec: Spec, host: Host, seconds: float) -> tuple[int, int]:
    """Protocol and port that a person would filter by."""
    if spec.attack:
        attack = Attack(Random(f"{spec.seed}/attack"), host, 1)
        events = [each for _ in range(5) for each in ATTACKS[spec.attack].event(attack) if each.inbound]
        ports = {each.port for each in events}
        return events[0].protocol, ports.pop() if len(ports) == 1 else 0
    made = _service(spec.services[0], spec.seed % PLACES, host.address[3], seconds)
    first = next(each for each in made if each.inbound)
    ports = {each.port for each in made[:50] if each.inbound and each.protocol == first.protocol}
    return first.protocol, ports.pop() if len(ports) == 1 else 0


def _attacked(spec: Spec, rng: Random, host: Host, seconds: float) -> list[Made]:
    attack = Attack(Random(f"{spec.seed}/attack"), host, seconds)
    begin = rng.uniform(0, 0.3) * seconds
    kind, made = ATTACKS[spec.attack], list[Made]()
    inbound = 0
    while inbound < spec.strength:
        event = kind.event(attack)
        if spec.sampling > 1:  # of a connection, or of a question and its answer, hardly two packets are kept
            event = [rng.choice(event)]
        inbound += sum(each.inbound and each.time < seconds for each in event)
        made += event
    scale = (seconds - begin) / seconds if kind.vector != "low-and-slow" else 1.0
    begin = begin if kind.vector != "low-and-slow" else 0.0
    return [each._replace(time=begin + each.time * scale) for each in made if each.time < seconds]


def _kept(pool: list[Made], wanted: int, sampling: int, rng: Random) -> list[Made]:
    """So many of a pool: whole conversations if nothing is sampled, else any packets."""
    if sampling > 1:
        return rng.sample(pool, min(wanted, len(pool)))
    begin = rng.randrange(max(1, len(pool) - wanted))
    return pool[begin : begin + wanted]


@lru_cache(maxsize=64)
def _service(name: str, number: int, last: int, seconds: float) -> list[Made]:
    """Conversations of a service, one after the other; of the same host, always the same."""
    rng = Random(f"service/{name}/{number}/{last}")
    host = Host(bytes([203, 0, 113, last]), 62)
    clients = clients_of(name, rng)
    made: list[Made] = []
    while len(made) < _POOL * 1_500:
        begin = rng.random() * seconds
        conversation = SERVICES[name](rng, begin, rng.choice(clients), host)
        made += [each for each in conversation if each.time < seconds]
    return made


def summarized(made: list[Made], conditions: Conditions, sampling: int) -> Summary:
    """The summary of packets in order of time; of samples, 160 bytes each are captured."""
    table = FlowTable()
    cut = _SAMPLED_BYTES if sampling > 1 else 65_535
    rows, pieces, at = [], [], 0
    for each in made:
        piece = each.frame[:cut]
        rows.append((_NOON + int(each.time * 1e9), at, len(piece), len(each.frame), 0))
        pieces.append(piece)
        at += len(piece)
    table.feed(Batch(b"".join(pieces), np.array(rows, PACKET), 0), [Interface(_ETHERNET, 0)])
    table.finish()
    return summarize(table, conditions=conditions)
