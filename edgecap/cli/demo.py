"""`edgecap demo`: real captures on this machine, shown live."""

from __future__ import annotations

import os
import shlex
import sys
import time
from contextlib import suppress
from typing import Annotated

from cyclopts import Parameter

from deployments.demo.demo import STEPS, Demo
from deployments.demo.runs import ShownRun
from deployments.local.processes import check_room
from deployments.local.running import running_setup
from edgecap.archive.entries import list_entries, read_entry
from edgecap.archive.layout import CAPTURES
from edgecap.archive.summaries import read_summary
from edgecap.archive.verify import verify_entry
from edgecap.cli.demo_board import Board, Starting
from edgecap.cli.entry_table import ListedEntry, print_entries
from edgecap.cli.output import console, print_lines, program, say, table
from edgecap.cli.progress import ByteBar
from edgecap.cli.signals import ending_well
from edgecap.errors import CaptureFailed, Damaged, SetupError
from edgecap.files.paths import near_path
from edgecap.incidents.incidents import Incidents
from edgecap.settings import load_settings
from edgecap.stores import open_store
from edgecap.stores.base import Store
from edgecap.units import plural

_SHORT_ID = 8  # characters; enough for `edgecap show` and `report`
# Settings for real work must not leak into a demonstration, nor the other way round.
_REAL = ("EDGECAP_", "CLOUDFLARE_", "PREFECT_", "AWS_", "GOOGLE_", "STORAGE_EMULATOR_")


def demo(*, once: Annotated[bool, Parameter(show_default=False)] = False) -> None:
    """Show the main job on this machine.

    Args:
        once: Exit after the tables. The exit code is 0 only if all captures, the incident's too, are archived
            and verified, and only those during the attack show it.
    """
    home = (load_settings().home / "demo").resolve()
    if running := running_setup(home):
        raise SetupError(
            "a demonstration is already running",
            where=running.ui_url,
            hint="use it, or end it with Ctrl-C",
        )
    check_room(home)
    hidden = _forget_real_settings()
    starting = Starting(len(STEPS))
    with Demo(home, starting.say) as setup, ending_well():
        with starting:
            setup.start()
        say("")
        with Board() as board:
            runs = setup.run(board.show)
        _show_archive(setup, runs)
        if once:
            return
        _show_next(setup, runs, hidden)
        with suppress(KeyboardInterrupt):
            while True:
                setup.check()
                time.sleep(1)
        say("Stopping.")


def _forget_real_settings() -> list[str]:
    names = [name for name in os.environ if name.startswith(_REAL) and name != "EDGECAP_DEBUG"]
    for name in names:
        del os.environ[name]
    return sorted(name for name in names if name.startswith(("EDGECAP_", "CLOUDFLARE_", "PREFECT_API_")))


def _show_archive(setup: Demo, runs: list[ShownRun]) -> None:
    """Print the archive's entries, each verified against its hashes; raise if one is damaged."""
    os.environ["EDGECAP_CONFIG"] = str(setup.config)
    archive = open_store(load_settings().archive())
    entries = list(list_entries(archive))
    bad: list[str] = []
    with ByteBar("verify", lambda: sum(info.size for info in archive.list(CAPTURES))) as bar:
        for entry in entries:
            bad += map(str, verify_entry(archive, entry, watch=bar.advance))
    print_entries(console(), [ListedEntry.of(archive, entry) for entry in entries])
    for run in runs:
        if not run.good:
            raise CaptureFailed(f"{run.name or run.label}: {run.state}: {run.message}", where=run.url)
    if bad:
        raise Damaged(f"the archive is damaged: {'; '.join(bad)}", where=archive.uri)
    counted = plural(len(entries), "entry", "entries")
    console().print(f"\n{counted}: every file matches the SHA-256 in its manifest.")
    _show_incident(setup, archive)


def _show_incident(setup: Demo, archive: Store) -> None:
    """Print the incident's three phases; raise unless each has packets and the expected verdict."""
    incidents = Incidents(archive)
    for incident_id in incidents.ids():
        record = incidents.closed(incident_id)
        if record is None:
            continue
        opened = incidents.opened(incident_id)
        console().print(f"\nIncident {incident_id}: {opened.alert_in_words if opened else record.rule}")
        rows = [
            (
                part.phase,
                "-" if part.packets is None else f"{part.packets:,}",
                part.capture_id[:_SHORT_ID] or "-",
                part.reason if part.state != "archived" else _looks_like(archive, part.entry),
            )
            for part in record.captures
        ]
        console().print(table(("phase", ">packets", "id", "looks like"), rows))
        if record.missing or {part.phase for part in record.captures} != {"before", "during", "after"}:
            raise CaptureFailed(f"the incident is incomplete: {record}", where=str(setup.home / "logs"))
        for part in record.captures:
            seen = _looks_like(archive, part.entry)
            if wrong := setup.attack.contradicted(part.phase, seen):
                raise CaptureFailed(f"{wrong}: {seen}", where=part.entry)
        return
    raise CaptureFailed("the alert started no incident", where=str(setup.home / "logs"))


def _looks_like(archive: Store, prefix: str) -> str:
    summary = read_summary(archive, read_entry(archive, prefix)) if prefix else None
    return summary.verdict if summary else "-"


def _show_next(setup: Demo, runs: list[ShownRun], hidden: list[str]) -> None:
    edgecap = shlex.quote(program())
    incident = Incidents(open_store(load_settings().archive())).ids()[0]
    lines = [
        "",
        f"Prefect's UI (sign in with {setup.setup.sign_in.how}):",
        setup.setup.ui_url,
        *(line for run in runs for line in (f"{run.label[:1].upper()}{run.label[1:]}:", run.url)),
        "",
        "In another terminal, in this folder:",
        *([f"  unset {' '.join(hidden)}"] if hidden else []),
        f"  export EDGECAP_CONFIG={shlex.quote(near_path(setup.config))}",
        f"  {edgecap} list",
        f"  {edgecap} verify",
        f"  {edgecap} report {incident[:_SHORT_ID]}",
        f"  {edgecap} capture simple --dst 203.0.113.7 --dry-run",
        f"  {edgecap} capture simple --at 2m --proto udp",
        f"  {edgecap} capture full --colo ORD --seconds 20",
        "",
        "It runs until Ctrl-C.",
    ]
    print_lines(console(), lines)  # links stand alone and whole, so that they can be clicked and copied
    sys.stdout.flush()
