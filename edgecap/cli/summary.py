"""`edgecap summary`: summarize capture files."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from edgecap.cli.capture_files import Files, Filter, check_inner, complain_of, named
from edgecap.cli.counting import STDIN, Counting
from edgecap.cli.options import Json
from edgecap.cli.output import console, print_json
from edgecap.errors import InvalidRequest
from edgecap.packets.flow_table import FlowTable

_LEAST_OF_ALL = 1e9  # sampling


def summary_command(
    *files: Files,
    filter: Filter = "",  # noqa: A002 - the option's name
    inner: bool = False,
    flows: Path | None = None,
    sampled: bool = False,
    sampling: float | None = None,
    full: Path | None = None,
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
        full: A full capture of the same time: the sampling is estimated from the packets that are in it, too.
            Implies --sampled.
        json: Print one JSON document: docs/summary.schema.json describes it.
    """
    names = named(files, "nothing to summarize")
    check_inner(filter, inner=inner)
    if sampling is not None and not 1 <= sampling <= _LEAST_OF_ALL:
        raise InvalidRequest(
            f"a sampling of 1 in {sampling:g} is impossible",
            field="--sampling",
            hint="give N of 1 in N, 1 or more",
        )
    if full and (sampling is not None or STDIN in names):
        raise InvalidRequest(
            "--full estimates the sampling that --sampling states"
            if sampling is not None
            else "--full reads the packets again, which standard input cannot",
            field="--full",
            hint="leave out --full" if sampling is not None else "name a file",
        )
    with ExitStack() as stack:
        writer = None
        if flows:
            from edgecap.packets.flow_file import new_flow_file  # noqa: PLC0415 - as long to import as a small file

            writer = stack.enter_context(new_flow_file(flows))
        tally = FlowTable(writer.write if writer else None)
        counting = stack.enter_context(Counting(names, filter, tally, inner=inner))
        # Imported while packets are counted: it takes as long as a hundred megabytes.
        from edgecap.cli.summarizing import summarized, with_sampling_of  # noqa: PLC0415 - see above
        from edgecap.cli.summary_page import print_summary  # noqa: PLC0415 - see above

        counted = counting.result()
    summary = summarized(
        tally, counted, filter, inner=inner, sampled=sampled or full is not None, sampling=sampling
    )
    if full:
        summary = with_sampling_of(summary, [Path(name) for name in names], full)
    if json:
        print_json(summary.model_dump(mode="json"))
    else:
        print_summary(console(), summary)
    complain_of({each.name: each.damage for each in summary.files if each.damage})
