"""Compare a capture with the earlier ones of the same schedule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from edgecap.packets.summary import TOP, Change, Difference, Port, Summary, Talkers

LAST = 10  # number of earlier captures compared
_ENOUGH = 20  # packets; shares of fewer are meaningless
_NEW = 0.02  # of packets: a smaller newcomer is noise
_MIX = 0.1  # of packets: minimum change of a protocol's share
_FACTOR = 2.0  # minimum change of a rate
_SIZE = 1.5
_WELL_KNOWN = 1024  # source ports from here on are ephemeral, and new each time
_MOST = 20  # maximum listed changes


def compare(summary: Summary, series: str, earlier: Sequence[tuple[str, Summary]]) -> Difference | None:
    """Compare `summary` with the captures before it; None if there are none with packets.

    Args:
        summary: of the new capture.
        series: what the captures have in common, for people.
        earlier: id and summary of earlier captures, newest first; at most `LAST` are used.
    """
    usable = [(entry, each) for entry, each in earlier if each.packets >= _ENOUGH][:LAST]
    if not usable or summary.packets < _ENOUGH:
        return None
    before = [each for _, each in usable]
    changes = sorted(
        (
            *_rates(summary, before),
            *_mix(summary, before),
            *_new_talkers(summary.sources, [each.sources for each in before], "source"),
            *_new_talkers(summary.destinations, [each.destinations for each in before], "destination"),
            *_new_ports(summary, before),
        ),
        key=_weight,
        reverse=True,
    )
    return Difference(
        series=series,
        captures=tuple(entry for entry, _ in usable),
        verdict=_verdict(changes, len(usable)),
        changes=tuple(changes[:_MOST]),
    )


def _weight(change: Change) -> float:
    if change.kind in ("rate", "size"):
        low, high = sorted((max(change.now, 1e-9), max(change.before, 1e-9)))
        return 1 + min(high / low, 1e6) / 1e6
    return abs(change.now - change.before)


def _verdict(changes: Sequence[Change], count: int) -> str:
    past = f"the {count} captures before" if count > 1 else "the capture before"
    if not changes:
        return f"Much as {past}."
    more = len(changes) - 1
    also = f"; {more} more change{'s' if more > 1 else ''}" if more else ""
    return f"Differs from {past}: {changes[0].line}{also}."


def _rates(summary: Summary, before: Sequence[Summary]) -> Iterator[Change]:
    now, past = summary.rates.packets, fmean(each.rates.packets for each in before)
    if past > 0 and now > 0 and not 1 / _FACTOR < now / past < _FACTOR:
        line = f"{now:,.1f} packets/s instead of {past:,.1f}"
        yield Change(kind="rate", what="packets a second", now=now, before=past, line=line)
    now, past = summary.sizes.mean, fmean(each.sizes.mean for each in before)
    if past > 0 and now > 0 and not 1 / _SIZE < now / past < _SIZE:
        line = f"packets of {now:,.0f} bytes on average instead of {past:,.0f}"
        yield Change(kind="size", what="bytes of a packet", now=now, before=past, line=line)


def _mix(summary: Summary, before: Sequence[Summary]) -> Iterator[Change]:
    now = {each.name: each.share for each in summary.protocols}
    past = [{each.name: each.share for each in one.protocols} for one in before]
    for name in sorted({*now, *(name for one in past for name in one)}):
        share, usual = now.get(name, 0.0), fmean(one.get(name, 0.0) for one in past)
        if abs(share - usual) >= _MIX:
            line = f"{share:.0%} {name} instead of {usual:.0%}"
            yield Change(kind="mix", what=name, now=share, before=round(usual, 6), line=line)


def _new_talkers(now: Talkers, before: Sequence[Talkers], side: str) -> Iterator[Change]:
    known = {each.address for one in before for each in one.top}
    for each in now.top:
        if each.share >= _NEW and each.address not in known:
            line = f"{each.address} was not among the largest {side}s before; {each.share:.0%} now"
            yield Change(
                kind="new-source" if side == "source" else "new-destination",
                what=each.address,
                now=each.share,
                before=0,
                line=line,
            )


def _new_ports(summary: Summary, before: Sequence[Summary]) -> Iterator[Change]:
    known = {_key(each) for one in before for each in one.destination_ports.top}
    for each in summary.destination_ports.top:
        if each.share >= _NEW and _key(each) not in known:
            line = f"{_port(each)} was not among the largest destinations before; {each.share:.0%} now"
            yield Change(
                kind="new-destination-port",
                what=f"{each.protocol} {each.port}",
                now=each.share,
                before=0,
                line=line,
            )
    known = {_key(each) for one in before for each in one.source_ports.top}
    for each in summary.source_ports.top:
        if each.share >= _NEW and _key(each) not in known and (each.port < _WELL_KNOWN or each.service):
            line = f"{_port(each)} was not among the largest sources before; {each.share:.0%} now"
            yield Change(
                kind="new-source-port",
                what=f"{each.protocol} {each.port}",
                now=each.share,
                before=0,
                line=line,
            )


def _key(port: Port) -> tuple[str, int]:
    return port.protocol, port.port


def _port(port: Port) -> str:
    return f"{port.protocol} port {port.port}" + (f" ({port.service})" if port.service else "")


assert TOP * _NEW >= 1, "a share that counts as new must fit into the lists of the earlier captures"
