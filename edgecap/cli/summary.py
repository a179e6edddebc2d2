"""`edgecap summary`: summarize capture files. `edgecap merge`: merge several into one, by time."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from edgecap.cli.options import Json
from edgecap.cli.output import console, print_json, say
from edgecap.cli.summary_page import print_summary
from edgecap.errors import Damaged, InvalidRequest
from edgecap.files.names import shown
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.inspection import Inspection
from edgecap.packets.merge import Merged, MergedSource, MergeSource, merge
from edgecap.packets.packet_filter import PacketFilter
from edgecap.packets.reader import PacketReader, open_packets
from edgecap.packets.residual import Residual
from edgecap.packets.summarize import summarize
from edgecap.packets.summary import SourceFile, Summary
from edgecap.packets.verdict.conditions import Conditions, conditions_of
from edgecap.packets.writer import Form
from edgecap.units import plural

STDIN = "-"
_LEAST_OF_ALL = 1e9  # sampling

Files = Annotated[str, Parameter(name="FILE", allow_leading_hyphen=True)]
Filter = Annotated[str, Parameter(name="--filter")]


def summary_command(
    *files: Files,
    filter: Filter = "",  # noqa: A002 - the option's name
    inner: bool = False,
    flows: Path | None = None,
    sampled: bool = False,
    sampling: float | None = None,
    json: Json = False,
) -> None:
    """Summarize capture files: verdict, top talkers, volume, times.

    Args:
        files: pcap or pcapng, plain or packed with gzip or zstd; - for standard input.
        filter: Count only packets that match, as for tcpdump.
        inner: Apply the filter to the innermost packet, behind VLAN tags, MPLS labels and tunnels.
        flows: Write a table of all flows to this file, as Parquet.
        sampled: The packets are samples, as in simple captures; the summary says so.
        sampling: One packet in so many was kept: rates become estimates of all packets. Implies --sampled.
        json: Print one JSON document: docs/summary.schema.json describes it.
    """
    names = _named(files, "nothing to summarize")
    _check_inner(inner, filter)
    if sampling is not None and not 1 <= sampling <= _LEAST_OF_ALL:
        raise InvalidRequest(
            f"a sampling of 1 in {sampling:g} is impossible",
            field="--sampling",
            hint="give N of 1 in N, 1 or more",
        )
    conditions = conditions_of(
        sampled=sampled or sampling is not None,
        sampling=sampling,
        sampling_from="as given",
        expression=filter,
    )
    summary = _summarized(names, filter, flows, conditions, inner=inner)
    if json:
        print_json(summary.model_dump(mode="json"))
    else:
        print_summary(console(), summary)
    _complain({each.name: each.damage for each in summary.files if each.damage})


def merge_command(
    *files: Files,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    format: Annotated[Form, Parameter(name=["--format", "-F"])] = Form.PCAPNG,  # noqa: A002 - the option's name
    filter: Filter = "",  # noqa: A002 - the option's name
    inner: bool = False,
    json: Json = False,
) -> None:
    """Merge capture files by time into one pcapng.

    Args:
        files: pcap or pcapng, plain or packed with gzip or zstd. They are not changed.
        output: The new file. An existing file is not replaced.
        format: pcap for a program that does not read this pcapng, such as tcpdump where snap lengths
            differ. A pcap holds one link type, and neither comments nor each packet's source.
        filter: Merge only packets that match, as for tcpdump.
        inner: Apply the filter to the innermost packet, behind VLAN tags, MPLS labels and tunnels.
        json: Print one JSON document.
    """
    sources = [MergeSource(Path(each), name=each) for each in _named(files, "nothing to merge")]
    _check_inner(inner, filter)
    for each in sources:
        if each.path.is_fifo():  # sources are read in parallel, a piece at a time
            raise InvalidRequest(
                "a pipe cannot be merged", field="FILE", where=shown(each.path), hint="write it to a file"
            )
    merged = merge(sources, output, expression=filter, inner=inner, form=format)
    if json:
        print_json(
            {
                "path": shown(output),
                "packets": merged.packets,
                "bytes": merged.size,
                "notes": list(_notes(merged)),
                "sources": [_source_json(each) for each in merged.sources],
            }
        )
    else:
        console().print(
            f"{plural(merged.packets, 'packet')} of {plural(len(sources), 'file')} "
            f"in {shown(output)}, {merged.size:,} bytes."
        )
        for note in _notes(merged):
            say(f"edgecap: {note}")
    _complain({each.source.label: each.lost for each in merged.damaged})


def _notes(merged: Merged) -> Iterable[str]:
    """What the merged file does not show: what was wrong with times and lengths, why nothing matched."""
    for source in merged.sources:
        for note in source.inspection.notes:
            yield f"{source.source.label}: {note}"
        if source.hint and not merged.packets:
            yield f"{source.source.label}: {source.hint}"
    if merged.clamped:
        verb = "has a time" if merged.clamped == 1 else "have times"
        yield f"{plural(merged.clamped, 'packet')} {verb} that the format cannot hold: the nearest is written"


def _complain(damaged: dict[str, str]) -> None:
    """Raise if a file was damaged. Its readable part was used, but it is an error, as in other tools."""
    if damaged:
        first, what = next(iter(damaged.items()))
        more = f", and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        raise Damaged(f"a part is left out: {what}", where=f"{first}{more}", hint="all else is used")


def _source_json(merged: MergedSource) -> dict[str, Any]:
    found = merged.inspection
    return {
        "name": merged.source.label,
        "interfaces": list(merged.interfaces),
        "packets": found.packets,
        "flags": list(found.flags),
        "notes": list(found.notes),
        "damage": merged.lost or None,
    }


def _check_inner(inner: bool, expression: str) -> None:
    if inner and not expression.strip():
        raise InvalidRequest(
            "it says where a filter applies, and there is none", field="--inner", hint="add --filter"
        )


def _named(files: tuple[str, ...], nothing: str) -> tuple[str, ...]:
    if not files:
        raise InvalidRequest(f"there is {nothing}", field="FILE", hint="name at least one file")
    return files


@dataclass(frozen=True, slots=True)
class _Counted:
    """One file, counted: its content, why the filter does not apply to it, and why nothing matched."""

    name: str
    found: Inspection
    refused: InvalidRequest | None
    hint: str

    def lost(self) -> str:
        return "; ".join(filter(None, (self.found.lost, str(self.refused or ""))))


def _summarized(
    files: tuple[str, ...], expression: str, flows: Path | None, conditions: Conditions, *, inner: bool
) -> Summary:
    with ExitStack() as stack:
        writer = None
        if flows:
            from edgecap.packets.flow_file import new_flow_file  # noqa: PLC0415 - as long to import as a small file

            writer = stack.enter_context(new_flow_file(flows))
        tally = FlowTable(writer.write if writer else None)
        counted = [_count(name, expression, tally, inner=inner) for name in files]
        refused = [each.refused for each in counted if each.refused]
        if refused and len(refused) == len(counted):
            raise refused[0]
        tally.finish()
    packets = sum(each.found.packets for each in counted)
    hints = [each.hint for each in counted if each.hint]
    return summarize(
        tally,
        conditions=conditions,
        files=[
            SourceFile(
                name=each.name,
                packets=each.found.packets,
                bytes=each.found.bytes_on_wire,
                share=each.found.packets / packets if packets else 0,
                damage=each.lost(),
                notes=each.found.notes,
            )
            for each in counted
        ],
        residual=Residual(
            expression=expression,
            packets=packets,
            kept=tally.packets,
            inner=inner,
            hint=hints[0] if hints and not tally.packets else "",
        )
        if expression.strip()
        else None,
    )


def _count(name: str, expression: str, tally: FlowTable, *, inner: bool) -> _Counted:
    with ExitStack() as stack:
        if name == STDIN:
            reader = PacketReader(sys.stdin.buffer, where="standard input")
        else:
            reader = stack.enter_context(open_packets(Path(name)))
        sieve = PacketFilter(expression, shown(name), inner=inner) if expression.strip() else None
        refused = None
        try:
            for batch in reader:
                tally.feed(sieve.keep(batch, reader.interfaces) if sieve else batch, reader.interfaces)
            if sieve:
                sieve.check(reader.interfaces)
        except InvalidRequest as error:
            refused = error
        return _Counted(shown(name), reader.inspection(), refused, sieve.hint if sieve else "")
