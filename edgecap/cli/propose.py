"""`edgecap propose`: filters against an attack, each with its proof."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from edgecap.archive.entries import Entry
from edgecap.archive.summaries import read_summary
from edgecap.cli.finding import find_either, find_only_entry
from edgecap.cli.incident import overviews
from edgecap.cli.options import Archive, Json
from edgecap.cli.output import console, print_json, print_lines, printable
from edgecap.errors import Damaged, EntryMissing, ObjectMissing
from edgecap.incidents.comparison import comparison_of
from edgecap.incidents.overview import Overview, Overviews
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.reader import open_packets
from edgecap.packets.summarize import summarize
from edgecap.packets.summary import Summary
from edgecap.proposals.archived import Picked, covers, earlier, opened
from edgecap.proposals.capture_source import CaptureSource
from edgecap.proposals.propose import Question, propose
from edgecap.proposals.text import lines
from edgecap.settings import DEFAULT, load_settings
from edgecap.stores import Store, open_store

_JUDGED = 500_000  # packets of a file that the verdict is about; more of them tell nothing new
_SUFFIXES = (".pcap", ".pcapng", ".cap", ".gz", ".zst")


def propose_command(
    wanted: Annotated[str, Parameter(name="ID", allow_leading_hyphen=True)],
    /,
    *,
    baseline: Annotated[
        list[str] | None, Parameter(name="--baseline", consume_multiple=True, negative="")
    ] = None,
    archive: Archive = DEFAULT,
    json: Json = False,
) -> None:
    """Propose filters against an attack, each with its proof. Changes nothing anywhere.

    Args:
        wanted: The id of a capture or an incident, or its first characters; or a file of packets.
        baseline: Captures of usual traffic, by id, or files. Default for an id: the packets from before the
            attack, and earlier captures of the same target.
        archive: Name of the archive in the settings.
        json: Print one JSON document: docs/proposals.schema.json describes it.
    """
    with _asked(wanted, baseline or [], archive) as asked:
        found = propose(asked)
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        print_lines(console(), map(printable, lines(found)))
    damaged = [each for each in found.remarks if each.startswith("a part could not be read")]
    if damaged:
        raise Damaged("; ".join(damaged), hint="what could be read was used")


@contextmanager
def _asked(wanted: str, baseline: Sequence[str], archive: str) -> Iterator[Question]:
    """What is asked for, with the packets on this machine."""
    files = [each for each in (wanted, *baseline) if _is_file(each)]
    if len(files) == 1 + len(baseline):  # no settings, no archive
        yield Question([_file(wanted)], [_file(each) for each in baseline], summaries=[_summary(wanted)])
        return
    with ExitStack() as stack:
        known = stack.enter_context(overviews(archive))
        store = open_store(load_settings().archive(archive))
        attack, usual, remarks = ([], [], ()) if wanted in files else _chosen(store, known, wanted)
        if baseline:
            usual, left_out = _named(store, archive, [each for each in baseline if each not in files], attack)
            remarks = (*remarks, *left_out)
        sources = stack.enter_context(opened(store, [*attack, *usual]))
        yield Question(
            [*sources[: len(attack)], *([_file(wanted)] if wanted in files else [])],
            [*sources[len(attack) :], *(_file(each) for each in baseline if each in files)],
            summaries=[_summary(wanted)]
            if wanted in files
            else [summary for each in attack if (summary := read_summary(store, each.entry)) is not None],
            remarks=remarks,
        )


def _chosen(
    store: Store, known: Overviews, wanted: str
) -> tuple[list[Picked], list[Picked], tuple[str, ...]]:
    """The captures of the attack, and those that show usual traffic, as the archive tells."""
    found = find_either(store, known, wanted)
    if isinstance(found, Overview):
        return _of_incident(store, known, found)
    if not found.manifest.kept_packets:
        raise EntryMissing(
            "the capture has no packets", where=found.path, hint=f"`edgecap show {wanted}` says why"
        )
    attack = [Picked(found)]
    began = found.manifest.totals.first or found.manifest.times.submitted
    usual: list[Picked] = []
    remarks: tuple[str, ...] = ()
    if found.manifest.incident:
        incident = known.read(found.manifest.incident)
        if incident.opened:
            compared = comparison_of(store, incident.opened, list(known.parts(incident)))
            usual, remarks = list(compared.baseline), compared.remarks
    elif began:
        usual = earlier(store, [found], before=began)
    return attack, [each for each in usual if covers(each.entry, found)], remarks


def _of_incident(
    store: Store, known: Overviews, incident: Overview
) -> tuple[list[Picked], list[Picked], tuple[str, ...]]:
    short = incident.id[:8]
    if incident.opened is None:
        raise EntryMissing(
            f"incident {short} is not in the archive yet", hint=f"`edgecap incident show {short}` says why"
        )
    compared = comparison_of(store, incident.opened, list(known.parts(incident)))
    if not compared.attack:
        raise EntryMissing(
            f"no capture of incident {short} has packets of the attack",
            hint=f"`edgecap incident show {short}` says why",
        )
    return list(compared.attack), list(compared.baseline), compared.remarks


def _named(
    store: Store, archive: str, ids: Sequence[str], attack: Sequence[Picked]
) -> tuple[list[Picked], list[str]]:
    """The captures that were named as usual traffic; and those that cannot serve, with the reason."""
    kept, left_out = [], []
    for each in ids:
        entry = find_only_entry(store, archive, each)
        if all(covers(entry, other.entry) for other in attack):
            kept.append(Picked(entry))
        else:
            left_out.append(_narrower(entry))
    return kept, left_out


def _narrower(entry: Entry) -> str:
    return (
        f"{entry.manifest.entry_id[:8]} is left out of the baseline: its filter leaves out packets that the "
        "attack's captures hold"
    )


def _is_file(name: str) -> bool:
    """Whether a file of packets is meant, and not an id or an entry's path.

    Raises:
        ObjectMissing: it looks like a file, and there is none.
    """
    path = Path(name)
    if not path.is_file() and path.suffix in _SUFFIXES:
        raise ObjectMissing("there is no such file", where=name, hint="check the path")
    return path.is_file()


def _file(name: str) -> CaptureSource:
    return CaptureSource(Path(name).name, (Path(name),))


def _summary(name: str) -> Summary:
    """The summary of a file's first packets: its verdict names vectors."""
    table = FlowTable()
    with open_packets(Path(name)) as reader:
        for batch in reader:
            table.feed(batch, reader.interfaces)
            if table.packets >= _JUDGED:
                break
    table.finish()
    return summarize(table)
