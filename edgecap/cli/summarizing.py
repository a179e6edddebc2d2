"""The summary of counted files. It is apart because its imports take longer than counting a small file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecap.cli.counting import Counted
from edgecap.cli.output import say
from edgecap.files.names import shown
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.overlap import ENOUGH, overlap
from edgecap.packets.residual import Residual
from edgecap.packets.summarize import resampled, summarize
from edgecap.packets.summary import SourceFile, Summary
from edgecap.packets.verdict.conditions import conditions_of


def summarized(
    tally: FlowTable,
    counted: Sequence[Counted],
    expression: str,
    *,
    inner: bool,
    sampled: bool,
    sampling: float | None,
) -> Summary:
    """The summary.

    Args:
        tally: of the files, finished.
        counted: the files.
        expression: the filter that was applied, or empty.
        inner: it was applied to the innermost packets.
        sampled: the packets are samples.
        sampling: one in so many was kept; None if that is not known.
    """
    packets = sum(each.found.packets for each in counted)
    hints = [each.hint for each in counted if each.hint]
    return summarize(
        tally,
        conditions=conditions_of(
            sampled=sampled or sampling is not None,
            sampling=sampling,
            sampling_from="as given",
            expression=expression,
        ),
        files=[
            SourceFile(
                name=each.name,
                packets=each.found.packets,
                bytes=each.found.bytes_on_wire,
                share=each.found.packets / packets if packets else 0,
                damage=each.lost,
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


def with_sampling_of(summary: Summary, files: Sequence[Path], full: Path) -> Summary:
    """The summary of samples, with the sampling that a full capture of the same time shows.

    Raises:
        ObjectMissing, StoreDenied, StoreUnreachable: a file cannot be read.
    """
    if summary.conditions.sampling:
        say("The file itself says how its packets were sampled: --full is not needed.")
        return summary
    found = overlap(files, [full])
    if found is None:
        say(f"The sampling is not known: fewer than {ENOUGH} of the packets are in {shown(str(full))}, too.")
        return summary
    return resampled(summary, found.sampling, found.words(shown(str(full))))
