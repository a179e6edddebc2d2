"""The line `Usage:` of a command's help, and what is said about a wrong command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts import App, CycloptsError

_LIKE = 0.6  # how much a name must resemble a wrong one to be suggested, as for cyclopts
_MOST = 3  # suggestions


class Help:
    """Cyclopts' own help, but `Usage:` names optional arguments, where cyclopts writes `[ARGS]`."""

    def __init__(self, root: App) -> None:
        self._root = root

    def __call__(self, console: Any, options: Any, panel: Any) -> None:
        """Print a panel, as cyclopts does."""
        from cyclopts.help import DefaultFormatter  # noqa: PLC0415 - only for a help

        DefaultFormatter()(console, options, panel)

    def render_usage(self, console: Any, options: Any, usage: Any) -> None:  # noqa: ARG002 - cyclopts' signature
        """Print the line."""
        line = str(usage).rstrip("\n")
        if "[ARGS" in line:
            line = re.sub(r"\[ARGS(\.\.\.)?\]", " ".join(self._optional(line)), line)
        console.print(f"Usage: {line}\n" if not line.startswith("Usage:") else f"{line}\n")

    def _optional(self, line: str) -> Iterator[str]:
        """The optional arguments of the command that a usage line is of, such as `[FILE...]`."""
        app = self._root
        for word in line.removeprefix("Usage: ").split()[1:]:
            if word not in app:
                break
            app = app[word]
        for argument in app.assemble_argument_collection():
            if argument.index is not None and not argument.required:
                many = argument.field_info.kind == argument.field_info.VAR_POSITIONAL
                yield f"[{argument.name}{'...' if many else ''}]"


def wrong_usage(error: CycloptsError) -> str:
    """What is wrong with a command line, and where to look, in one line."""
    text = _unknown_option(error) or str(error)
    text = text if text.endswith("...") else text.rstrip(".")
    command = " ".join(["edgecap", *(error.command_chain or ())])
    return f"{text}{' See' if text.endswith('?') else '; see'} `{command} --help`"


def _unknown_option(error: CycloptsError) -> str:
    """The options that resemble an unknown one most: two, if they do so equally. Empty if there is none."""
    from cyclopts import UnknownOptionError  # noqa: PLC0415 - slow to import

    if not isinstance(error, UnknownOptionError):
        return ""
    given = (error.token.keyword or error.token.value).partition("=")[0]
    names = [name for each in error.argument_collection if each.parse for name in each.names]
    likeness = {name: SequenceMatcher(a=given, b=name).ratio() for name in names}
    best = max(likeness.values(), default=0.0)
    if best < _LIKE:
        return ""
    close = [name for name, ratio in likeness.items() if ratio == best][:_MOST]
    return f"Unknown option: {given}. Did you mean {' or '.join(close)}?"
