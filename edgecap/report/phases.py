"""Before, during and after an attack side by side, from the summaries of its captures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgecap.packets.summary import Named, Ports, Summary
from edgecap.report.loading import Pictured
from edgecap.report.rates import peak_rate
from edgecap.units import bit_rate, percent, size

_PHASES = ("before", "during", "after")
_PROTOCOLS = ("tcp", "udp", "icmp")


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the table.

    Attributes:
        lines: its text.
        share: 0 to 1, to be shown as a bar beside those of the same row; None for no bar.
    """

    lines: list[str]
    share: float | None = None


@dataclass(frozen=True, slots=True)
class _Column:
    """Captures of one phase that can be put together: samples, or all packets."""

    phase: str
    sampled: bool
    summaries: tuple[Summary, ...]

    @property
    def title(self) -> str:
        return f"{self.phase}, {'samples' if self.sampled else 'all packets'}"

    @property
    def packets(self) -> int:
        return sum(each.packets for each in self.summaries)

    @property
    def peak(self) -> float:
        """Most packets a second in one of the captures."""
        return max(each.rates.peak_packets for each in self.summaries)

    @property
    def peak_in_words(self) -> str:
        """The same with its interval, if it is of samples."""
        return peak_rate(max(self.summaries, key=lambda each: each.rates.peak_packets))

    def share(self, of: Callable[[Summary], Sequence[Named]], name: str) -> Cell:
        """The share of packets of one kind."""
        packets = sum(kind.packets for each in self.summaries for kind in of(each) if kind.name == name)
        return Cell([percent(packets / self.packets)], packets / self.packets)

    def largest(self, of: Callable[[Summary], Ports]) -> Cell:
        """The port with the most packets, and the share that it has of its capture's."""
        best = max(
            (port for each in self.summaries for port in of(each).top[:1]),
            key=lambda p: p.packets,
            default=None,
        )
        return (
            Cell([f"{best.protocol} {best.port}", percent(best.share)], best.share) if best else Cell(["-"])
        )


@dataclass(frozen=True, slots=True)
class Phases:
    """A table.

    Attributes:
        columns: their titles.
        rows: the name of each, and its cells.
        notes: what the rates of the columns with samples mean, in sentences.
    """

    columns: list[str]
    rows: list[tuple[str, list[Cell]]]
    notes: list[str]


def phases_of(captures: Sequence[Pictured]) -> Phases | None:
    """The phases as columns of a table; None if fewer than two have packets to compare."""
    columns = [
        column
        for phase in _PHASES
        for sampled in (True, False)
        if (column := _Column(phase, sampled, tuple(_of(captures, phase, sampled=sampled)))).packets
    ]
    if len(columns) < 2:  # noqa: PLR2004 - one has nothing beside it
        return None
    highest = {
        sampled: max((column.peak for column in columns if column.sampled is sampled), default=0)
        for sampled in (True, False)
    }
    rows: list[tuple[str, Callable[[_Column], Cell]]] = [
        ("captures", lambda c: Cell([f"{len(c.summaries)}"])),
        ("packets kept", lambda c: Cell([f"{c.packets:,}"])),
        ("highest rate", lambda c: Cell([c.peak_in_words], c.peak / (highest[c.sampled] or 1))),
        ("", lambda c: Cell([bit_rate(max(each.rates.peak_bits for each in c.summaries))])),
        ("mean size", lambda c: Cell([size(sum(each.bytes for each in c.summaries) / c.packets)])),
        *((name.upper(), _share(name)) for name in _PROTOCOLS),
        ("TCP with SYN alone", lambda c: c.share(_flags, "SYN")),
        ("largest source port", lambda c: c.largest(_from)),
        ("largest destination port", lambda c: c.largest(_to)),
        ("most sources", lambda c: Cell([f"{max(each.sources.distinct for each in c.summaries):,}"])),
    ]
    return Phases(
        columns=[column.title for column in columns],
        rows=[(name, [cell(column) for column in columns]) for name, cell in rows],
        notes=_notes([column for column in columns if column.sampled]),
    )


def _notes(samples: Sequence[_Column]) -> list[str]:
    """Which rates are estimates of all packets, and from where; and which are those of the samples."""
    notes, unknown = [], []
    for column in samples:
        known = [each.conditions for each in column.summaries if each.conditions.sampling is not None]
        if len(known) < len(column.summaries):
            unknown.append(column.phase)
        else:
            source = f": the sampling is {known[0].sampling_from}" if known[0].sampling_from else ""
            notes.append(f"The rates of {column.phase} are estimates of all packets{source}.")
    if unknown:
        which = " and ".join(unknown)
        notes.append(
            f"The rates of {which} are those of samples, lower than the true ones. Compare samples with"
            " samples, and shares with shares."
        )
    return notes


def _of(captures: Sequence[Pictured], phase: str, *, sampled: bool) -> list[Summary]:
    return [
        each.summary
        for each in captures
        if each.part.phase == phase and each.summary and each.summary.sampled == sampled
    ]


def _share(name: str) -> Callable[[_Column], Cell]:
    return lambda column: column.share(_protocols, name)


def _protocols(summary: Summary) -> Sequence[Named]:
    return summary.protocols


def _flags(summary: Summary) -> Sequence[Named]:
    return summary.tcp_flags


def _from(summary: Summary) -> Ports:
    return summary.source_ports


def _to(summary: Summary) -> Ports:
    return summary.destination_ports
