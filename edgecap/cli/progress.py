"""How far a command is: a bar on stderr, if that is a terminal and the command takes longer than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column

from edgecap.cli.output import colourful, console


def titled_bar(*columns: ProgressColumn) -> Progress | None:
    """A bar on stderr: its title, cut if it is long, then `columns`. None without a terminal."""
    if not colourful(sys.stderr):
        return None
    title = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    return Progress(
        TextColumn("{task.description}", table_column=title),
        BarColumn(bar_width=20),
        *columns,
        console=console(sys.stderr),
        transient=True,
        expand=True,
    )


class ByteBar:
    """A bar of bytes that were read. Without a terminal it shows nothing.

    Args:
        title: what is being done.
        total: counts the bytes in all; called only if the bar is shown.
        after: seconds; what is over sooner needs no bar.
    """

    def __init__(self, title: str, total: Callable[[], int], *, after: float = 1.0) -> None:
        self._after = after
        self._began = time.monotonic()
        self._done = 0
        self._bar = titled_bar(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        if self._bar:
            self._task = self._bar.add_task(title, total=None)
        self._total = total
        self._is_shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pause()

    def advance(self, chunk: bytes) -> None:
        """Count the bytes of a chunk; the bar appears when a second has passed."""
        self._done += len(chunk)
        if not self._bar or (not self._is_shown and time.monotonic() - self._began < self._after):
            return
        if not self._is_shown:
            self._bar.update(self._task, total=self._total())
            self._bar.start()
            self._is_shown = True
        self._bar.update(self._task, completed=self._done)

    def pause(self) -> None:
        """Leave the terminal to other output; the bar comes back with the next chunk."""
        if self._bar and self._is_shown:
            self._bar.stop()
            self._is_shown = False
