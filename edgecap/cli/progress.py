"""How far a command is: a bar on stderr, if that is a terminal and the command takes longer than a second."""

from __future__ import annotations

import sys
import time
from typing import Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column

from edgecap.cli.output import colourful, console

_AFTER = 1.0  # seconds; what is over sooner needs no bar


class ByteBar:
    """A bar of bytes that were read. Without a terminal it shows nothing.

    Args:
        title: what is being done.
        total: bytes in all.
    """

    def __init__(self, title: str, total: int) -> None:
        self._began = time.monotonic()
        self._done = 0
        self._bar: Progress | None = None
        if colourful(sys.stderr):
            self._bar = Progress(
                TextColumn(
                    "{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
                ),
                BarColumn(bar_width=20),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=console(sys.stderr),
                transient=True,
                expand=True,
            )
            self._task = self._bar.add_task(title, total=total)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, chunk: bytes) -> None:
        """Count the bytes of a chunk; the bar appears when a second has passed."""
        self._done += len(chunk)
        if self._bar:
            self._bar.update(self._task, completed=self._done)
            if time.monotonic() - self._began > _AFTER:
                self._bar.start()

    def describe(self, title: str) -> None:
        """Say what is being done now."""
        if self._bar:
            self._bar.update(self._task, description=title)
