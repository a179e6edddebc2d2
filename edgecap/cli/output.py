"""Output: data to stdout, everything else to stderr; plain text unless a terminal shows it.

With `NO_COLOR`, on a dumb terminal and without a terminal: no colours and no control characters.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from shutil import which
from textwrap import wrap
from typing import TYPE_CHECKING, Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgecap.cli.any_name import escaped

if TYPE_CHECKING:
    from edgecap.alerts.policy.decision import Plan

_UNLIMITED = 10_000  # columns; readers of a pipe want whole lines
_PLAN = 10  # columns of a plan's names
_SHORT_ID = 8  # characters; enough for `edgecap show`
_PADDING = re.compile(" +$", re.MULTILINE)
_SURROGATES = re.compile("[\ud800-\udfff]")


def colourful(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that supports colours and rewritten lines."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class _PlainConsole(Console):
    """A console without control characters, whose lines are not padded."""

    def print(self, *objects: Any, **how: Any) -> None:
        with self.capture() as printed:
            super().print(*objects, **how)
        self.file.write(_PADDING.sub("", printed.get()))


def console(stream: TextIO | None = None, *, width: int = _UNLIMITED) -> Console:
    """A console for `stream`, by default stdout; `width` applies where there is no terminal."""
    stream = stream or sys.stdout
    if colourful(stream):
        return Console(file=stream, highlight=False, emoji=False, markup=False)
    return _PlainConsole(
        file=stream,
        color_system=None,
        force_terminal=False,
        highlight=False,
        emoji=False,
        markup=False,
        width=None if stream.isatty() else width,
    )


def say(line: str) -> None:
    """Print one line for the person, on stderr."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def print_json(document: Any) -> None:
    """Print the one JSON document of a command with `--json`."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    # No JSON text holds half a character: names are shown as elsewhere, with the backslash that JSON wants.
    text = _SURROGATES.sub(lambda found: "\\" + escaped(found.group()), text)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table; columns whose name begins with `>` are aligned to the right."""
    made = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        name = column.removeprefix(">")
        right = column.startswith(">")
        made.add_column(name, justify="right" if right else "left", no_wrap=right, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(printable(str(cell))) for cell in row))
    return made


def print_lines(out: Console, lines: Iterable[str]) -> None:
    """Print lines as they are, however long, with the tabs in them."""
    for line in lines:
        out.file.write(f"{line}\n")


def print_table(out: Console, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; if it is too wide, its last columns stand below each row, and an `id` is shortened.

    There they are wrapped between words, so that a path stays in one piece and can be copied. A pipe gets
    tabs between the columns, and no spaces that align them.
    """
    rows = list(rows)
    if not out.file.isatty():
        titles = [column.removeprefix(">") for column in columns]
        print_lines(out, ("\t".join(printable(str(cell)) for cell in row) for row in (titles, *rows)))
        return
    whole = table(columns, rows)
    if out.measure(whole, options=out.options.update(width=_UNLIMITED)).maximum <= out.width:
        out.print(whole)
        return
    cut = [
        [str(cell)[:_SHORT_ID] if name == "id" else cell for name, cell in zip(columns, row, strict=True)]
        for row in rows
    ]
    beside = len(columns) - 1
    while beside > 1 and _width(columns[:beside], cut) > out.width:
        beside -= 1
    made = out.render_lines(table(columns[:beside], (row[:beside] for row in cut)), pad=False)
    head = len(made) - len(rows)
    for number, line in enumerate(made):
        out.print(Text.assemble(*((each.text, each.style or "") for each in line)), soft_wrap=True)
        for cell in cut[number - head][beside:] if number >= head else ():
            print_hanging(out, str(cell), indent=2)


def _width(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> int:
    """Columns of a terminal that a table needs for one line a row."""
    return Console(width=_UNLIMITED).measure(table(columns, (row[: len(columns)] for row in rows))).maximum


def print_hanging(out: Console, words: str, *, indent: int, name: str = "") -> None:
    """Print a text whose lines on a terminal all begin after `indent` columns, wrapped between words.

    Args:
        out: where to.
        words: the text.
        indent: the columns.
        name: what stands in the first line's columns.
    """
    first, shown = f"{printable(name):<{indent}}", printable(words)
    if not out.file.isatty():
        print_lines(out, [f"{first}{shown}".rstrip()])
        return
    lines = wrap(shown, max(out.width - indent, 20), break_long_words=False, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        out.print(f"{first if not number else ' ' * indent}{line}".rstrip(), soft_wrap=True)


def print_plan(out: Console, plan: Plan, alert: str, *, limits: bool = True) -> None:
    """Print what was decided for an alert, and why.

    Args:
        out: where to.
        plan: the decision.
        alert: the alert in words.
        limits: also which cooldown and budget the rule has.
    """
    for name, words in plan.explained(alert, limits=limits):
        print_hanging(out, words, indent=_PLAN, name=name)


def pairs(rows: Iterable[tuple[str, object]]) -> Table:
    """A table of names and values, without a head."""
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(Text(name, "bold"), value if isinstance(value, Text) else Text(printable(str(value))))
    return made


def printable(text: str) -> str:
    """`text` with spaces for terminal control characters: file names may come from elsewhere."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def program() -> str:
    """How to call this command: `edgecap`, or its path if the shell would not find it."""
    if which("edgecap"):
        return "edgecap"
    return os.path.relpath(Path(sys.prefix) / "bin" / "edgecap")
