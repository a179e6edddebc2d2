"""`edgecap merge`: merge capture files into one, by time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from edgecap.cli.capture_files import Files, Filter, check_inner, complain_of, named
from edgecap.cli.options import Json
from edgecap.cli.output import console, print_json, say
from edgecap.errors import InvalidRequest
from edgecap.files.names import shown
from edgecap.packets.inspection import FLAGS, NO_TIMES
from edgecap.packets.merge import Merged, MergedSource, MergeSource, merge
from edgecap.packets.writer import Form
from edgecap.units import plural


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
    sources = [MergeSource(Path(each), name=each) for each in named(files, "nothing to merge")]
    check_inner(filter, inner=inner)
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
    complain_of({each.source.label: each.lost for each in merged.damaged})


def _notes(merged: Merged) -> Iterable[str]:
    """What the merged file does not show: what was wrong with times and lengths, why nothing matched."""
    for source in merged.sources:
        for note in source.inspection.notes:
            given = "; each gets that of the packet before it" if note == FLAGS[NO_TIMES] else ""
            yield f"{source.source.label}: {note}{given}"
        if source.hint and not merged.packets:
            yield f"{source.source.label}: {source.hint}"
    if merged.clamped:
        verb = "has a time" if merged.clamped == 1 else "have times"
        yield f"{plural(merged.clamped, 'packet')} {verb} that the format cannot hold: the nearest is written"


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
