"""A summary for a terminal: the verdict first, then its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rich.console import Console
from rich.text import Text

from edgecap.cli.output import pairs, printable, table
from edgecap.packets.summary import Named, Port, Summary, Talker
from edgecap.packets.verdict.signs import interval
from edgecap.packets.verdict.words import numbers_of
from edgecap.units import duration, plural

_ROWS = 10  # of a table
_BARS = " ▁▂▃▄▅▆▇█"
_WIDTH = 60  # columns of the timeline


def print_summary(out: Console, summary: Summary) -> None:
    """Print a summary for people."""
    out.print(Text(printable(summary.verdict), "bold"))
    for vector in summary.vectors:
        out.print()
        out.print(printable(f"{vector.title} ({vector.strength})"))
        for line in numbers_of(vector, summary.conditions):
            out.print(printable(f"  {line}"))
    remarks = [*summary.caveats, *(each.line for each in summary.sampled_captures)]
    if remarks:
        out.print()
    for line in remarks:
        out.print(printable(line))
    if summary.difference:
        out.print(f"\n{summary.difference.verdict}")
        for change in summary.difference.changes:
            out.print(printable(f"  {change.line}"))
    out.print()
    out.print(pairs(_facts(summary)))
    if not summary.packets:
        return
    if summary.timeline.packets:
        out.print()
        out.print(_timeline(summary))
    _print_talkers(out, "source", summary.sources.top)
    _print_talkers(out, "destination", summary.destinations.top)
    _print_ports(out, "to port", summary.destination_ports.top)
    _print_ports(out, "from port", summary.source_ports.top)
    _print_named(out, "TCP flags", summary.tcp_flags)
    _print_named(out, "ICMP type", summary.icmp)
    if len(summary.files) > 1:
        rows = ((each.name, f"{each.packets:,}", _percent(each.share)) for each in summary.files)
        out.print()
        out.print(table(("file", ">packets", ">share"), rows))


def _facts(summary: Summary) -> Iterator[tuple[str, object]]:
    yield "packets", f"{summary.packets:,}" + (" (samples)" if summary.sampled else "")
    if summary.residual:
        inside = ", applied to the innermost packets" if summary.residual.inner else ""
        yield "filtered", f"{summary.residual.packets:,} before {summary.residual.expression!r}{inside}"
        if summary.residual.hint:
            yield "hint", summary.residual.hint
    for each in summary.files:
        if each.damage:
            yield "damage", f"{each.name}: {each.damage}"
    yield from _notes(summary)
    if summary.packets:
        yield from _amounts(summary)
        yield from _contents(summary)


def _notes(summary: Summary) -> Iterator[tuple[str, str]]:
    """What to know about times and lengths: each note once, with the files that it is about."""
    files: dict[str, list[str]] = {}
    for each in summary.files:
        for note in each.notes:
            files.setdefault(note, []).append(each.name)
    for note, names in files.items():
        yield "note", f"{names[0]}{f' and {len(names) - 1:,} more' if len(names) > 1 else ''}: {note}"


def _amounts(summary: Summary) -> Iterator[tuple[str, object]]:
    kept = "" if summary.bytes == summary.bytes_captured else f", {summary.bytes_captured:,} of them kept"
    yield "bytes", f"{summary.bytes:,} on the wire{kept}"
    if summary.first and summary.last:
        yield "time", f"{_time(summary.first)} to {_time(summary.last)}, {summary.seconds:,.3f} s"
    rates, sizes = summary.rates, summary.sizes
    if rates.packets_estimate and rates.bits_estimate and rates.peak_estimate:
        unit = "packets/s" if summary.conditions.sampling else "sampled packets/s"
        bits = f"{_bits(rates.bits_estimate.low)} to {_bits(rates.bits_estimate.high)}"
        yield "on average", f"{interval(rates.packets_estimate)} {unit}, {bits} (95 %)"
        at = f" at {_time(rates.peak_at)}" if rates.peak_at else ""
        peak = f"{interval(rates.peak_estimate)} {unit}{at}"
        yield "peak", f"{peak}, within {rates.peak_seconds:g} s (95 %)"
    elif rates.packets:
        yield "on average", f"{rates.packets:,.1f} packets/s, {_bits(rates.bits)}"
        at = f" at {_time(rates.peak_at)}" if rates.peak_at else ""
        peak = f"{rates.peak_packets:,.0f} packets/s{at}, {_bits(rates.peak_bits)}"
        yield "peak", f"{peak}, within {duration(rates.peak_seconds)}"
    yield "sizes", f"{sizes.smallest:,} to {sizes.largest:,} bytes, {sizes.mean:,.1f} on average"


def _contents(summary: Summary) -> Iterator[tuple[str, object]]:
    yield "protocols", _list((*summary.versions, *summary.protocols))
    sources, destinations = (
        ("" if side.exact else "about ") + plural(side.distinct, name)
        for name, side in (("source", summary.sources), ("destination", summary.destinations))
    )
    yield "addresses", f"{sources}, {destinations}"
    yield "flows", _many(summary.flows.distinct, exact=summary.flows.exact)
    if summary.ttls.distinct:
        top = ", ".join(f"{each.ttl} ({_percent(each.share)})" for each in summary.ttls.top[:3])
        values = plural(summary.ttls.distinct, "value")
        yield "TTL", f"{values}, {summary.ttls.lowest} to {summary.ttls.highest}: {top}"
    if summary.fragments.packets:
        yield "fragments", f"{summary.fragments.packets:,} ({_percent(summary.fragments.share)})"
    if summary.tunnels.packets:
        yield "tunnels", _list(summary.tunnels.kinds)
    if summary.vlans:
        yield "VLANs", ", ".join(map(str, summary.vlans))
    if summary.amplification:
        found = (f"{each.service} ({each.port}) {_percent(each.share)}" for each in summary.amplification[:5])
        yield "amplifiers", ", ".join(found)


def _timeline(summary: Summary) -> Text:
    """The packets over time, as a line of bars."""
    steps = summary.timeline.packets
    together = -(-len(steps) // _WIDTH)
    sums = [sum(steps[at : at + together]) for at in range(0, len(steps), together)]
    most = max(sums) or 1
    bars = "".join(_BARS[-(-value * (len(_BARS) - 1) // most)] for value in sums)
    seconds = summary.timeline.seconds * together
    return Text(f"{bars}  {duration(seconds)} each, at most {plural(most, 'packet')}")


def _print_talkers(out: Console, name: str, talkers: Iterable[Talker]) -> None:
    rows = [
        (each.address, f"{each.packets:,}", f"{each.bytes:,}", f"{each.flows:,}", _percent(each.share))
        for each in talkers
    ]
    _print(out, (name, ">packets", ">bytes", ">flows", ">share"), rows)


def _print_ports(out: Console, name: str, ports: Iterable[Port]) -> None:
    rows = [
        (
            f"{each.protocol} {each.port}",
            each.service,
            f"{each.packets:,}",
            f"{each.bytes:,}",
            _percent(each.share),
        )
        for each in ports
    ]
    _print(out, (name, "usually", ">packets", ">bytes", ">share"), rows)


def _print_named(out: Console, name: str, kinds: Iterable[Named]) -> None:
    rows = [(each.name, f"{each.packets:,}", f"{each.bytes:,}", _percent(each.share)) for each in kinds]
    _print(out, (name, ">packets", ">bytes", ">share"), rows)


def _print(out: Console, columns: Iterable[str], rows: Sequence[tuple[str, ...]]) -> None:
    if rows:
        out.print()
        out.print(table(columns, rows[:_ROWS]))


def _list(kinds: Iterable[Named]) -> str:
    return ", ".join(f"{each.name} {_percent(each.share)}" for each in kinds)


def _many(number: int, *, exact: bool) -> str:
    return f"{number:,}" if exact else f"about {number:,}"


def _percent(share: float) -> str:
    # Less than all is never shown as 100%.
    return f"{min(share, 0.999) if share < 1 else 1:.1%}"


def _bits(rate: float) -> str:
    for unit in ("bit/s", "kbit/s", "Mbit/s", "Gbit/s"):
        if rate < 1000 or unit == "Gbit/s":  # noqa: PLR2004 - the next unit
            return f"{rate:,.1f} {unit}"
        rate /= 1000
    raise AssertionError("the last unit fits any rate")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}Z"
