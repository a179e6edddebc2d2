"""`edgecap summary`: summarize capture files. `edgecap merge`: merge several into one, by time."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from edgecap.cli.options import Json
from edgecap.cli.output import console, print_json
from edgecap.cli.summary_page import print_summary
from edgecap.errors import Damaged, InvalidRequest
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.inspection import Inspection
from edgecap.packets.merge import MergedSource, MergeSource, merge
from edgecap.packets.packet_filter import PacketFilter
from edgecap.packets.reader import PacketReader, open_packets
from edgecap.packets.residual import Residual
from edgecap.packets.summarize import summarize
from edgecap.packets.summary import SourceFile, Summary
from edgecap.packets.verdict.conditions import Conditions, conditions_of
from edgecap.units import plural

STDIN = "-"
_LEAST_OF_ALL = 1e9  # sampling

Files = Annotated[str, Parameter(name="FILE", allow_leading_hyphen=True)]
Filter = Annotated[str, Parameter(name="--filter")]


def summary_command(
    *files: Files,
    filter: Filter = "",  # noqa: A002 - the option's name
    flows: Path | None = None,
    sampled: bool = False,
    sampling: float | None = None,
    json: Json = False,
) -> None:
    """Summarize capture files: verdict, top talkers, volume, times.

    Args:
        files: pcap or pcapng, plain or packed with gzip or zstd; - for standard input.
        filter: Count only packets that match, as for tcpdump.
        flows: Write a table of all flows to this file, as Parquet.
        sampled: The packets are samples, as in simple captures; the summary says so.
        sampling: One packet in so many was kept: rates become estimates of all packets. Implies --sampled.
        json: Print one JSON document: docs/summary.schema.json describes it.
    """
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
    summary = _summarized(_named(files, "nothing to summarize"), filter, flows, conditions)
    if json:
        print_json(summary.model_dump(mode="json"))
    else:
        print_summary(console(), summary)
    _complain({each.name: each.damage for each in summary.files if each.damage})


def merge_command(
    *files: Files,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    filter: Filter = "",  # noqa: A002 - the option's name
    json: Json = False,
) -> None:
    """Merge capture files by time into one pcapng.

    Args:
        files: pcap or pcapng, plain or packed with gzip or zstd. They are not changed.
        output: The new file. An existing file is not replaced.
        filter: Merge only packets that match, as for tcpdump.
        json: Print one JSON document.
    """
    sources = [MergeSource(Path(each), name=each) for each in _named(files, "nothing to merge")]
    for each in sources:
        if each.path.is_fifo():  # sources are read in parallel, a piece at a time
            raise InvalidRequest(
                "a pipe cannot be merged", field="FILE", where=str(each.path), hint="write it to a file"
            )
    merged = merge(sources, output, expression=filter)
    if json:
        print_json(
            {
                "path": str(output),
                "packets": merged.packets,
                "bytes": merged.size,
                "sources": [_source_json(each) for each in merged.sources],
            }
        )
    else:
        console().print(
            f"{plural(merged.packets, 'packet')} of {plural(len(sources), 'file')} "
            f"in {output}, {merged.size:,} bytes."
        )
    _complain({each.source.label: each.lost for each in merged.damaged})


def _complain(damaged: dict[str, str]) -> None:
    """Raise if a file was damaged. Its readable part was used, but it is an error, as in other tools."""
    if damaged:
        first, what = next(iter(damaged.items()))
        more = f", and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        raise Damaged(f"a part could not be read: {what}", where=f"{first}{more}", hint="fetch it again")


def _source_json(merged: MergedSource) -> dict[str, Any]:
    found = merged.inspection
    return {
        "name": merged.source.label,
        "interfaces": list(merged.interfaces),
        "packets": found.packets,
        "flags": list(found.flags),
        "damage": merged.lost or None,
    }


def _named(files: tuple[str, ...], nothing: str) -> tuple[str, ...]:
    if not files:
        raise InvalidRequest(f"there is {nothing}", field="FILE", hint="name at least one file")
    return files


def _summarized(
    files: tuple[str, ...], expression: str, flows: Path | None, conditions: Conditions
) -> Summary:
    with ExitStack() as stack:
        writer = None
        if flows:
            from edgecap.packets.flow_file import new_flow_file  # noqa: PLC0415 - as long to import as a small file

            writer = stack.enter_context(new_flow_file(flows))
        tally = FlowTable(writer.write if writer else None)
        found = [(name, _counted(name, expression, tally)) for name in files]
        tally.finish()
    packets = sum(each.packets for _, each in found)
    return summarize(
        tally,
        conditions=conditions,
        files=[
            SourceFile(
                name=name,
                packets=each.packets,
                bytes=each.bytes_on_wire,
                share=each.packets / packets if packets else 0,
                damage=each.lost,
            )
            for name, each in found
        ],
        residual=Residual(expression=expression, packets=packets, kept=tally.packets)
        if expression.strip()
        else None,
    )


def _counted(name: str, expression: str, tally: FlowTable) -> Inspection:
    with ExitStack() as stack:
        if name == STDIN:
            reader = PacketReader(sys.stdin.buffer, where="standard input")
        else:
            reader = stack.enter_context(open_packets(Path(name)))
        sieve = PacketFilter(expression, name) if expression.strip() else None
        for batch in reader:
            tally.feed(sieve.keep(batch, reader.interfaces) if sieve else batch, reader.interfaces)
        if sieve:
            sieve.check(reader.interfaces)
        return reader.inspection()
