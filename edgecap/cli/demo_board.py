"""What the demonstration shows while it works: its steps, then its runs. Nothing is wider than 80 columns."""

from __future__ import annotations

import sys
import time
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from deployments.demo.runs import ShownRun
from edgecap.cli.output import colourful, console, say, table

_SILENT = 30.0  # seconds without a change until a line says what the demonstration waits for


class Starting:
    """The steps of the start: a line for each, and on a terminal a bar below them.

    Args:
        steps: how many there are.
    """

    def __init__(self, steps: int) -> None:
        self._bar: Progress | None = None
        if colourful(sys.stderr):
            self._bar = Progress(
                TextColumn("Starting"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TextColumn("steps,"),
                TimeElapsedColumn(),
                TextColumn("(a first start takes a minute)"),
                console=console(sys.stderr),
                transient=True,
            )
            self._task = self._bar.add_task("", total=steps)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def say(self, line: str, *, is_step: bool = True) -> None:
        """Print a line; if it is a step, the bar moves on."""
        if self._bar is None:
            say(line)
            return
        self._bar.console.print(line, soft_wrap=True)
        if is_step:
            self._bar.advance(self._task)


class Board:
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
        """Show how far the runs are now."""
        now = time.monotonic()
        if self._live:
            self._live.update(board(runs, elapsed=now - self._began))
            return
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


def board(runs: list[ShownRun], *, elapsed: float) -> RenderableType:
    """The runs as a table, and below it how many are over, and the seconds since they began."""
    rows = (
        (
            run.label,
            run.state,
            "-" if run.progress is None else f"{run.progress:.0f}%",
            "" if run.ended else why_waiting(run).partition(": ")[2],
        )
        for run in runs
    )
    over = sum(run.ended for run in runs)
    return Group(
        table(("capture", "state", ">done", "waits for"), rows),
        Text(f"\n{over} of {len(runs)} are over, {elapsed:.0f} s so far; they take a minute or two."),
    )
