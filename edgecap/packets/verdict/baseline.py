"""A vector beside what is usual: the same kind of packets to the same target in the baseline's captures.

Rates are compared with their intervals, so that few samples say little. What a server always gets is no
attack. More of the same, in the same mix, is a busy day as well as an attack, and weighs less.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgecap.packets.verdict.case import Case, Draft, packets_of, same
from edgecap.packets.verdict.evidence import TCP_KINDS, Evidence, Kind, Stream, Target
from edgecap.packets.verdict.intervals import Estimate, ratio
from edgecap.packets.verdict.model import Sign
from edgecap.packets.verdict.signs import interval, number, percent

_MORE, _MUCH_MORE, _FAR_MORE = 2.0, 4.0, 10.0
_SAME_MIX = 1.3
_CHANGE = 0.4  # of packets
_TIMES = 3.0


def compare(case: Case, draft: Draft) -> tuple[Estimate | None, tuple[Sign, ...]]:
    """The usual rate of such packets, and what it says of the draft; None without a baseline."""
    if draft.target is None or not draft.streams or not case.baseline:
        return None, ()
    kinds, port = {each.kind for each in draft.streams}, _port(draft)
    usual = case.usual(draft.target, kinds, port)
    now = case.rate(packets_of(draft.streams))
    if usual is None or now is None:
        return usual, ()
    if draft.kind == "low-and-slow":  # which is no matter of packets
        return usual, tuple(_slow_before(case, draft.target))
    times = ratio(now, usual)
    before = [
        (one, [each for each in one.streams if each.kind in kinds and each.port == port])
        for evidence in case.baseline
        for one in same(evidence, draft.target)
    ]
    return usual, tuple(_signs(draft, now, usual, times, before))


def _slow_before(case: Case, target: Target) -> Iterator[Sign]:
    """Whether one source always has as many such connections."""
    before = [
        _of_one(case, stream)
        for evidence in case.baseline
        for one in evidence.targets
        if one.address == target.address
        for stream in one.streams
    ]
    now = max((_of_one(case, stream) for stream in target.streams), default=0)
    if max(before, default=0) >= now / 2:
        yield Sign(name="usual", weight=-3, line=f"as always: {max(before)} such connections of one source")


def _of_one(case: Case, stream: Stream) -> int:
    return stream.small_of_one if case.conditions.sampled else stream.slow_of_one


def _port(draft: Draft) -> int:
    ports = {each.port for each in draft.streams}
    return ports.pop() if len(ports) == 1 else 0


def _signs(
    draft: Draft,
    now: Estimate,
    usual: Estimate,
    times: Estimate,
    before: Sequence[tuple[Target, Sequence[Stream]]],
) -> Iterator[Sign]:
    told = f"{interval(now)} packets/s; usual are {interval(usual)}"
    if times.high < _MUCH_MORE and times.low < _MORE:
        yield Sign(name="usual", weight=-3, line=f"as always: {told}")
        return
    if times.low < _MORE:
        return
    weight = 4 if times.low >= _FAR_MORE else 3 if times.low >= _MUCH_MORE else 1
    factor = f"{number(times.low)} times as many or more" if usual.value else "there were none"
    yield Sign(name="more-than-usual", weight=weight, line=f"{told}: {factor}")
    past = [stream for _, found in before for stream in found]
    if not past or draft.target is None:
        return
    if _alike(draft, draft.target, before):
        yield Sign(name="same-mix", weight=-2, line="in the same mix as usual: more of everything")
    yield from _changes(draft.streams, past)


def _alike(draft: Draft, target: Target, before: Sequence[tuple[Target, Sequence[Stream]]]) -> bool:
    """Whether its share of the target's packets, or of its TCP, is about the usual one."""
    family = TCP_KINDS if draft.streams[0].kind in TCP_KINDS else frozenset(Kind)
    whole = packets_of(each for each in target.streams if each.kind in family)
    usual = packets_of(each for one, _ in before for each in one.streams if each.kind in family)
    if not whole or not usual:
        return False
    share = packets_of(draft.streams) / whole
    past = packets_of(stream for _, found in before for stream in found) / usual
    return share <= past * _SAME_MIX + 0.02


def _changes(now: Sequence[Stream], past: Sequence[Stream]) -> Iterator[Sign]:
    for name, words in (("top_ttl", "TTL"), ("top_size", "size")):
        share, usual = _top(now, name), _top(past, name)
        if share - usual >= _CHANGE:
            line = f"{percent(share)} have one {words}; usual are {percent(usual)}"
            yield Sign(name=f"one-{words.lower()}-now", weight=1, line=line)
    sources, usual_sources = _per_packet(now), _per_packet(past)
    if sources >= _TIMES * usual_sources and sum(each.packets for each in past) >= 100:  # noqa: PLR2004
        line = f"{sources:.2f} sources a packet; usual are {usual_sources:.2f}"
        yield Sign(name="more-sources", weight=1, line=line)


def _top(found: Sequence[Stream], name: str) -> float:
    top = sum(getattr(each, name).packets for each in found if getattr(each, name))
    return float(top / max(packets_of(found), 1))


def _per_packet(found: Sequence[Stream]) -> float:
    return sum(each.sources for each in found) / max(packets_of(found), 1)


def usable(evidence: Evidence) -> bool:
    """Whether a capture tells what is usual: with packets, or with none over some time."""
    return max(evidence.window, evidence.seconds) >= 1 or evidence.packets >= 100  # noqa: PLR2004
