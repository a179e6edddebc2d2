"""`edgecap demo`: real captures on this machine, shown live."""

from __future__ import annotations

import os
import shlex
import sys
import time
from contextlib import suppress
from typing import Annotated, Self

from cyclopts import Parameter
from rich.console import RenderableType
from rich.live import Live

from deployments.demo.demo import Demo
from deployments.demo.runs import ShownRun
from deployments.local.processes import check_room
from deployments.local.setup import running_setup
from edgecap.archive.entries import list_entries, read_entry
from edgecap.archive.summaries import read_summary
from edgecap.archive.verify import verify_entry
from edgecap.cli.output import colourful, console, print_table, program, say, table
from edgecap.cli.signals import ending_well
from edgecap.errors import CaptureFailed, Damaged, SetupError
from edgecap.incidents.record import Incidents
from edgecap.settings import load_settings
from edgecap.stores import open_store
from edgecap.stores.base import Store

COLUMNS = ("id", "type", "colo", ">packets", ">bytes", ">files", "SHA-256", "path")
_SILENT = 30.0  # seconds without a change until a line says what the demonstration waits for
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
            where=running["ui_url"],
            hint="use it, or end it with Ctrl-C",
        )
    check_room(home)
    hidden = _forget_real_settings()
    with Demo(home, say) as setup, ending_well():
        setup.start()
        say("")
        with _Board() as board:
            runs = setup.run(board.show)
        _show_archive(setup, runs)
        if once:
            return
        _show_next(setup, hidden)
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
    rows: list[tuple[object, ...]] = []
    bad = 0
    for entry in list_entries(archive):
        problems = verify_entry(archive, entry)
        bad += bool(problems)
        manifest, totals = entry.manifest, entry.manifest.totals
        rows.append(
            (
                manifest.entry_id,
                manifest.type,
                manifest.colo or "all",
                f"{totals.packets:,}",
                f"{totals.size:,}",
                totals.files,
                "; ".join(map(str, problems)) or "ok",
                _short(entry.where),
            )
        )
    print_table(console(), COLUMNS, rows)
    for run in runs:
        if not run.good:
            raise CaptureFailed(f"{run.name or run.label}: {run.state}: {run.message}", where=run.url)
    if bad:
        raise Damaged(f"{bad} of {len(rows)} entries are damaged", where=archive.uri)
    _show_incident(setup, archive)


def _show_incident(setup: Demo, archive: Store) -> None:
    """Print the incident's three phases; raise unless each has packets and the expected verdict."""
    incidents = Incidents(archive)
    for incident_id in incidents.ids():
        record = incidents.closed(incident_id)
        if record is None:
            continue
        opened = incidents.opened(incident_id)
        console().print(f"\nIncident {incident_id}: {opened.plan.alert if opened else record.rule}")
        print_table(
            console(),
            ("phase", "capture", ">packets", "looks like", "entry"),
            [
                (
                    part.phase,
                    part.request,
                    "-" if part.packets is None else f"{part.packets:,}",
                    _looks_like(archive, part.entry),
                    part.entry or part.reason,
                )
                for part in record.captures
            ],
        )
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


def _short(where: str) -> str:
    """A path relative to this folder, if that is shorter."""
    path = where.removeprefix("file:").rstrip("/")
    relative = os.path.relpath(path)
    return relative if len(relative) < len(path) else path


def _show_next(setup: Demo, hidden: list[str]) -> None:
    edgecap = shlex.quote(program())
    incident = Incidents(open_store(load_settings().archive())).ids()[0]
    lines = [
        f"Prefect's UI: {setup.setup.ui_url}",
        "",
        "In another terminal, in this folder:",
        *([f"  unset {' '.join(hidden)}"] if hidden else []),
        f"  export EDGECAP_CONFIG={shlex.quote(_short(str(setup.config)))}",
        f"  {edgecap} list",
        f"  {edgecap} verify",
        f"  {edgecap} report {incident[:8]}",
        f"  {edgecap} capture simple --dst 203.0.113.7 --dry-run",
        f"  {edgecap} capture simple --at 2m --proto udp",
        f"  {edgecap} capture full --colo ORD --seconds 20",
        "",
        "It runs until Ctrl-C.",
    ]
    console().print("\n".join(lines))
    sys.stdout.flush()


class _Board:
    """All runs, live: a table that is redrawn on a terminal, else a line per change.

    Without a change for a while, a line says what the runs wait for.
    """

    def __init__(self) -> None:
        self._live: Live | None = None
        if colourful(sys.stderr):
            self._live = Live(console=console(sys.stderr), refresh_per_second=4)
        self._said: dict[str, str] = {}
        self._began = self._last = time.monotonic()

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, runs: list[ShownRun]) -> None:
        if self._live:
            self._live.update(_board(runs))
            return
        now = time.monotonic()
        for run in runs:
            news = f"{run.label}: {run.state}" + (f" ({run.name})" if run.name else "")
            if self._said.get(run.label) != news:
                self._said[run.label] = news
                self._last = now
                say(news)
        if now - self._last > _SILENT:
            self._last = now
            waiting = [f"{run.label}, {why_waiting(run)}" for run in runs if not run.ended]
            say(f"Still waiting, {now - self._began:.0f} s in all: {'; '.join(waiting)}")


def why_waiting(run: ShownRun) -> str:
    """What an unfinished run waits for, according to its state."""
    return " ".join(f"{run.state}: {run.message}".split())[:160].rstrip(": ")


def _board(runs: list[ShownRun]) -> RenderableType:
    rows = (
        (
            run.label,
            run.name or "-",
            run.state,
            "-" if run.progress is None else f"{run.progress:.0f}%",
            "" if run.ended else why_waiting(run).partition(": ")[2],
            run.url,
        )
        for run in runs
    )
    return table(("capture", "run", "state", ">progress", "waits for", "page"), rows)
