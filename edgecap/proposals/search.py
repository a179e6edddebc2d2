"""The search for the smallest filter that separates a vector from usual traffic.

A beam search over conjunctions: from the filter that only names target and protocol, one test more at a
time, as long as enough of the vector is left. There are few tests, since each has to suit most of the vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecap.proposals.candidates import LEAST, Candidate, candidates, shared
from edgecap.proposals.contrast import Side
from edgecap.proposals.table import Mask
from edgecap.proposals.traffic_filter import Field, Networks, Test, TrafficFilter, Values, name_of
from edgecap.proposals.vector import Vector

MOST_HARM = 0.005
"""The part of usual traffic that a filter may match."""
_MOST_TESTS = 4  # besides target and protocol
_BEAM = 24  # filters that each step goes on from
_HARM_WEIGHT = 20.0  # a fifth of `MOST_HARM` costs as much as 2 % of the attack
_TEST_COST = 0.06  # of one test, in parts of the attack
_DESCRIBING_COST = 0.02  # of one that says what the vector is: it stays true when the attack changes a little
_VALUE_COST = 0.004  # of one more value in a set
# For each bit by which a filter is more special, and for how many bits. Without a baseline, to be special is
# all that can make it harmless.
_BITS_WORTH, _MOST_BITS = 0.005, 24.0
_BITS_WORTH_UNPROVEN, _MOST_BITS_UNPROVEN = 0.01, 40.0
# Tests that not every form can express, or that hold only at the place of the capture.
_AWKWARD = {Field.TTL: 0.05, Field.WINDOW: 0.05, Field.PAYLOAD: 0.03}
_LEAST_PURE = 0.5  # of a vector's packets that are of the attack
_SEARCHED = 30_000  # packets of each side


@dataclass(frozen=True, slots=True)
class Found:
    """A filter, as it did on the samples.

    Attributes:
        filter: with target and protocol.
        attack: share of the vector's packets that match.
        harm: share of the usual packets to the same target that match.
        worth: the higher, the better.
    """

    filter: TrafficFilter
    attack: float
    harm: float
    worth: float


@dataclass(frozen=True, slots=True)
class _State:
    tests: tuple[Candidate, ...]
    vector: Mask
    usual: Mask
    attack: float
    harm: float


@dataclass(frozen=True, slots=True)
class Samples:
    """A vector's packets beside usual ones to the same target.

    Attributes:
        member: which packets of `attack` are of the vector.
        like: which packets of `usual` look like them.
        attack: the captures of the attack.
        usual: the baseline; or, without one, the other packets of the attack's captures.
        scale: usual packets in the attack's captures for each one of the baseline; 0 without one.
        proves: whether there is a baseline.
    """

    member: Mask
    like: Mask
    attack: Side
    usual: Side
    scale: float
    proves: bool


def search(vector: Vector, samples: Samples, *, most: int = 4) -> list[Found]:
    """Filters that match enough of the vector, the best first.

    The first are those that harm little. If there are none, it is the one that harms least.

    Args:
        vector: what to match.
        samples: its packets, and usual ones.
        most: filters at most.
    """
    work = _Work(vector, samples)
    good: dict[frozenset[str], tuple[_State, float]] = {}
    least: _State | None = None
    beam = [work.start()]
    for _ in range(_MOST_TESTS + 1):
        for state in beam:
            if state.harm <= MOST_HARM:
                key = frozenset(name_of(each.test) for each in state.tests)
                worth = work.worth(state)
                if key not in good or worth > good[key][1]:
                    good[key] = (state, worth)
            if least is None or (state.harm, -state.attack) < (least.harm, -least.attack):
                least = state
        beam = work.step(beam)
        if not beam:
            break
    if not good and least is not None:
        good[frozenset()] = (least, work.worth(least))
    best = sorted(good.values(), key=lambda each: -each[1])[:most]
    return [Found(work.filter_of(state), state.attack, state.harm, worth) for state, worth in best]


def _worth(state: _State, bit_worth: float, most_bits: float) -> float:
    """The part of the attack that is matched, less the harm, less what a long or awkward filter costs."""
    cost = bits = 0.0
    for each in state.tests:
        cost += _DESCRIBING_COST if each.describes else _TEST_COST
        if isinstance(each.test, Values):
            cost += _AWKWARD.get(each.test.field, 0.0) + _VALUE_COST * (len(each.test.ranges) - 1)
        elif isinstance(each.test, Networks):
            cost += _VALUE_COST * (len(each.test.networks) - 1)
        bits += each.bits
    return state.attack - _HARM_WEIGHT * state.harm - cost + bit_worth * min(bits, most_bits)


class _Work:
    """The masks of all tests, computed once, and the steps of the search."""

    def __init__(self, vector: Vector, samples: Samples) -> None:
        proven, unproven = (_BITS_WORTH, _MOST_BITS), (_BITS_WORTH_UNPROVEN, _MOST_BITS_UNPROVEN)
        self._bits = proven if samples.proves else unproven
        scope = vector.scope.matches(samples.usual.table)
        ours = _some(np.flatnonzero(samples.member))
        theirs = _some(np.flatnonzero(scope))
        self._vector = samples.attack.table.take(ours)
        self._usual = samples.usual.table.take(theirs)
        self._weights = samples.usual.weights[theirs] * (scope.sum() / max(len(theirs), 1))
        own = samples.attack.weights[ours]
        self._own = own / own.sum() if len(own) else own
        packets = samples.attack.count(samples.member)
        # Part of the vector's packets are usual ones that look like it.
        self._like = samples.like[theirs]
        self._mixed = np.where(self._like, self._weights * samples.scale / max(packets, 1.0), 0.0)
        self._base = TrafficFilter(
            vector.filter.version,
            vector.filter.protocol,
            tuple(each for each in vector.filter.tests if each in vector.scope.tests),
        )
        self._passes: list[tuple[Candidate, Mask, Mask]] = []
        pure = max(1 - float(self._mixed.sum()), _LEAST_PURE)
        for each in candidates(self._vector, self._usual, self._weights, vector.filter.tests, pure):
            made = TrafficFilter(self._base.version, self._base.protocol, (each.test,))
            inside = made.matches(self._vector)
            if float(self._own[inside].sum()) >= LEAST * pure:
                self._passes.append((each, inside, made.matches(self._usual)))

    def worth(self, state: _State) -> float:
        """What a filter is worth."""
        return _worth(state, *self._bits)

    def start(self) -> _State:
        """The filter without tests."""
        everything = np.ones(len(self._vector), bool)
        return self._state((), everything, self._base.matches(self._usual))

    def step(self, beam: Sequence[_State]) -> list[_State]:
        """All filters with one test more, as far as they are worth going on from."""
        seen: set[frozenset[Test]] = set()
        made: list[_State] = []
        for state in beam:
            names = {name_of(each.test) for each in state.tests}
            for candidate, vector, usual in self._passes:
                tests = (*state.tests, candidate)
                key = frozenset(each.test for each in tests)
                if name_of(candidate.test) in names or key in seen:
                    continue
                seen.add(key)
                new = self._state(tests, state.vector & vector, state.usual & usual)
                if new.attack >= LEAST:
                    made.append(new)
        made.sort(key=lambda each: -self.worth(each))
        return made[:_BEAM]

    def filter_of(self, state: _State) -> TrafficFilter:
        """The whole filter."""
        return self._base.plus(*(each.test for each in state.tests))

    def _state(self, tests: tuple[Candidate, ...], vector: Mask, usual: Mask) -> _State:
        mixed = float(self._mixed.sum())
        matched = float(self._own[vector].sum()) - float(self._mixed[usual & self._like].sum())
        attack = matched / (1 - mixed) if mixed <= 1 - _LEAST_PURE else float(self._own[vector].sum())
        return _State(tests, vector, usual, min(1.0, max(0.0, attack)), shared(usual, self._weights))


def _some(rows: np.ndarray) -> np.ndarray:
    """At most `_SEARCHED` of these rows, evenly."""
    if len(rows) <= _SEARCHED:
        return rows
    even: np.ndarray = rows[np.linspace(0, len(rows) - 1, _SEARCHED).astype("i8")]
    return even
