"""The table of entries: the columns that fit the terminal, the most telling first; whole lines in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from textwrap import wrap
from typing import Self

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from edgecap.archive.entries import Entry
from edgecap.archive.manifest import Manifest
from edgecap.archive.summaries import read_verdict
from edgecap.cli.output import print_lines, printable
from edgecap.errors import InvalidRequest, StoreError
from edgecap.report.words import asked_for, verdict
from edgecap.stores.base import Store
from edgecap.units import stamp

_GAP = 2  # spaces between two columns
_LEAST = 22  # characters of `what`: a capture's type and its target; with less, the verdict goes below
_SHORT_ID = 8  # characters; more if they do not tell the shown entries apart


@dataclass(frozen=True, slots=True)
class ListedEntry:
    """An entry, and the verdict of its summary; the verdict is empty if there is none."""

    entry: Entry
    verdict: str

    @classmethod
    def of(cls, store: Store, entry: Entry) -> Self:
        """An entry of `store`. If the store does not give its summary, it is listed without a verdict."""
        try:
            return cls(entry, read_verdict(store, entry))
        except StoreError:
            return cls(entry, "")

    @property
    def shown_verdict(self) -> str:
        """The verdict, or what the manifest says in its place; after `partial` if packets are missing."""
        return f"partial: {self._told}" if self.entry.manifest.state == "partial" else self._told

    @property
    def verdict_after_state(self) -> str:
        """The same after the state and its flags, such as `limit-reached`, unless it is simply complete."""
        state = ", ".join(filter(None, (self.entry.manifest.shown_state, *_flags(self.entry.manifest))))
        return f"{state.removeprefix('complete, ')}: {self._told}" if state != "complete" else self._told

    @property
    def _told(self) -> str:
        return self.verdict or verdict(self.entry, None)

    @property
    def packets(self) -> str:
        """The packets kept, such as `976 of 1,426` if a filter was applied to those that were fetched."""
        kept, fetched = self.entry.manifest.kept_packets, self.entry.manifest.totals.packets
        return f"{kept:,}" if kept == fetched else f"{kept:,} of {fetched:,}"


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    cell: Callable[[ListedEntry], str]
    right: bool = False


def _when(each: ListedEntry) -> str:
    return stamp(each.entry.manifest.times.submitted).removesuffix(" UTC")


def _what(each: ListedEntry) -> str:
    manifest = each.entry.manifest
    return " ".join(filter(None, (manifest.type, asked_for(manifest))))


def _state(each: ListedEntry) -> str:
    flags = ", ".join(_flags(each.entry.manifest))
    return each.entry.manifest.shown_state + (f" ({flags})" if flags else "")


def _flags(manifest: Manifest) -> list[str]:
    """The flags, without the one that says what the state says."""
    return [flag for flag in manifest.flags if flag != manifest.state]


COLUMNS = {
    "when": _Column("when (UTC)", _when),
    "id": _Column("id", lambda each: each.entry.manifest.entry_id),
    "what": _Column("what", _what),
    "where": _Column("where", lambda each: each.entry.manifest.colo or "all"),
    "packets": _Column("packets", lambda each: each.packets, right=True),
    "verdict": _Column("verdict", lambda each: each.shown_verdict),
    "state": _Column("state", _state),
    "bytes": _Column("bytes", lambda each: f"{each.entry.manifest.totals.size:,}", right=True),
    "files": _Column("files", lambda each: str(each.entry.manifest.totals.files), right=True),
    "path": _Column("path", lambda each: each.entry.path),
    "account": _Column("account", lambda each: each.entry.manifest.account or "-"),
    "incident": _Column("incident", lambda each: each.entry.manifest.incident or "-"),
}
"""Every column by its name. A terminal shows the first seven, and further ones up to `path` if they fit."""

_ALWAYS = ("when", "id", "what", "where", "packets")
_TELLING = ("verdict", "state")  # in a line below the row if they do not fit whole
_IF_ROOM = ("bytes", "files", "path")
_LONG = ("verdict", "path")  # below the row if they do not fit and are last
_BELOW = "verdict after state"


def chosen_columns(text: str | None) -> tuple[str, ...]:
    """The columns that `--columns` names, separated by commas; empty if it is not given.

    Raises:
        InvalidRequest: one of them does not exist.
    """
    names = tuple(name.strip().lower() for name in (text or "").split(",") if name.strip())
    if unknown := [name for name in names if name not in COLUMNS]:
        raise InvalidRequest(
            f"unknown column {unknown[0]!r}", field="--columns", hint=f"there are {', '.join(COLUMNS)}"
        )
    if text is not None and not names:
        raise InvalidRequest("--columns names no column", hint=f"there are {', '.join(COLUMNS)}")
    return names


def print_entries(out: Console, entries: Iterable[ListedEntry], *, columns: Sequence[str] = ()) -> None:
    """Print a line for each entry, of the given columns or of those that fit.

    A terminal gets aligned columns. If they do not fit, the verdict stands whole below its row, after the
    state unless that is `complete`. A pipe gets whole texts with tabs between them.
    """
    entries = list(entries)
    texts = {name: [printable(column.cell(each)) for each in entries] for name, column in COLUMNS.items()}
    if not out.file.isatty():
        names = columns or (*_ALWAYS, *_TELLING, *_IF_ROOM)
        rows = zip(*(texts[name] for name in names), strict=True)
        print_lines(out, ["\t".join(row) for row in ([COLUMNS[name].title for name in names], *rows)])
        return
    texts[_BELOW] = [printable(each.verdict_after_state) for each in entries]
    table = _Fitted(texts, columns, out.width)
    for line in table.lines():
        out.print(line, soft_wrap=True)


class _Fitted:
    """The texts of a table, made to fit a width step by step."""

    def __init__(self, texts: dict[str, list[str]], columns: Sequence[str], width: int) -> None:
        self._texts, self._width = texts, width
        self._names = list(columns or (*_ALWAYS, *_TELLING))
        self._below = ""
        self._sizes = {name: self._size(name) for name in texts if name in COLUMNS}
        for shorten in (self._shorten_ids, self._shorten_times):
            if self._room < 0:
                shorten()
        if self._cut({"what": _LEAST}):
            if not columns:
                self._add_more()
            return
        if not columns:
            self._names, self._below = list(_ALWAYS), _BELOW
        elif len(self._names) > 1 and self._names[-1] in _LONG:
            self._below = self._names.pop()
        self._cut({"what": len(COLUMNS["what"].title)})

    @property
    def _room(self) -> int:
        """Columns that are left; less than 0 if the table is too wide."""
        needed = sum(self._sizes[name] for name in self._names) + _GAP * (len(self._names) - 1)
        return self._width - needed

    def _size(self, name: str) -> int:
        return max(map(cell_len, (COLUMNS[name].title, *self._texts[name])))

    def _replace(self, name: str, texts: list[str]) -> None:
        self._texts = {**self._texts, name: texts}
        self._sizes[name] = self._size(name)

    def _shorten_ids(self) -> None:
        ids = self._texts["id"]
        length = _SHORT_ID
        while len({each[:length] for each in ids}) < len(set(ids)):
            length += 1
        self._replace("id", [each[:length] for each in ids])

    def _shorten_times(self) -> None:
        """Leave out this year and the seconds; of other years, show the date."""
        year = f"{datetime.now(UTC):%Y}-"
        times = self._texts["when"]
        self._replace(
            "when", [each[5:16] if each.startswith(year) else each.partition(" ")[0] for each in times]
        )

    def _cut(self, least: dict[str, int]) -> bool:
        """Make long columns narrower, but not narrower than `least`; do nothing if that is not enough."""
        sizes = dict(self._sizes)
        missing = -self._room
        for name, smallest in least.items():
            if missing > 0 and name in self._names:
                cut = min(missing, max(sizes[name] - smallest, 0))
                sizes[name] -= cut
                missing -= cut
        if missing > 0:
            return False
        self._sizes = sizes
        return True

    def _add_more(self) -> None:
        for name in _IF_ROOM:
            if self._sizes[name] + _GAP > self._room:
                break
            self._names.append(name)

    def lines(self) -> Iterable[Text]:
        """The head, and a line or more for each row."""
        yield Text(self._line([COLUMNS[name].title for name in self._names]), "bold")
        for number in range(len(self._texts["id"])):
            yield Text(self._line([self._texts[name][number] for name in self._names]))
            if self._below:
                below = self._texts[self._below][number]
                if self._below == "path":  # it is copied, so it stays in one piece
                    yield Text(below)
                else:
                    indent = " " * _GAP
                    yield from map(
                        Text, wrap(below, self._width, initial_indent=indent, subsequent_indent=indent)
                    )

    def _line(self, cells: Sequence[str]) -> str:
        parts = []
        for name, cell in zip(self._names, cells, strict=True):
            size = self._sizes[name]
            text = cell if cell_len(cell) <= size else set_cell_size(cell, size - 1).rstrip() + "…"
            room = " " * (size - cell_len(text))
            parts.append(room + text if COLUMNS[name].right else text + room)
        return (" " * _GAP).join(parts).rstrip()
