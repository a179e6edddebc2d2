"""What the program that deploys says to the one that started it: notes for people, and its error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from edgecap import errors
from edgecap.errors import EdgecapError

_NOTE, _ERROR = "note: ", "error: "


def note(line: str) -> str:
    """The line that says something a person should read."""
    return _NOTE + line


def notes(lines: Iterable[str]) -> Iterator[str]:
    """The notes among lines of a log."""
    return (line.removeprefix(_NOTE) for line in lines if line.startswith(_NOTE))


def error_line(error: EdgecapError) -> str:
    """The line that says why the program failed."""
    told = {"kind": type(error).__name__, "what": error.what, "where": error.where, "hint": error.hint}
    return _ERROR + json.dumps(told)


def told_error(line: str) -> EdgecapError | None:
    """The error that such a line tells; None if it tells none."""
    if not line.startswith(_ERROR):
        return None
    told = json.loads(line.removeprefix(_ERROR))
    kind = getattr(errors, told.pop("kind"))
    error = kind(told["what"], where=told["where"], hint=told["hint"])
    assert isinstance(error, EdgecapError)
    return error
