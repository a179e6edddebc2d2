"""`edgecap explain`: how edgecap would apply a filter expression, without asking the API."""

from __future__ import annotations

import json as json_
import shlex
from typing import Annotated, Any

from cyclopts import Parameter

from edgecap.cli.options import Json
from edgecap.cli.output import console, print_json, printable, program
from edgecap.filters.names import looked_up
from edgecap.filters.of_request import LONGEST
from edgecap.filters.translate import Explained
from edgecap.filters.translate import explain as explain_expression
from edgecap.protocols import PROTOCOL_NAMES
from edgecap.requests import Bounds, Filter
from edgecap.settings import load_settings

_SHOWN = 8  # captures shown for a filter with `or`; a longer list is for scripts
_LABEL = 28  # columns


def explain(*expression: Annotated[str, Parameter(name="FILTER")], json: Json = False) -> None:
    """Show which part of a filter the API applies, and which part edgecap applies after the download.

    Args:
        expression: As for tcpdump, such as udp and src port 53; in quotes or not.
        json: Print one JSON document.
    """
    text = " ".join(expression)
    bounds = load_settings().bounds
    explained = explain_expression(text, bounds=bounds)
    names = looked_up(text)
    usable = not names and len(text) <= LONGEST
    if json:
        print_json(
            {
                "expression": text,
                "filter_v1": explained.filter.body(),
                "residual": explained.residual,
                "captures": explained.captures,
                "alternatives": _alternatives(explained, bounds, usable=usable),
                "notes": [*explained.notes, *_about(text, names)],
                "command": _command(Filter(), text) if usable else None,
            }
        )
        return
    sent = explained.filter.body()
    _line("sent to the API", f"{explained.filter}  {json_.dumps({'filter_v1': sent})}")
    _line("applied after the download", explained.residual or "nothing: the API applies all of it")
    for note in (*explained.notes, *_about(text, names)):
        _line("note", note)
    if usable:
        _line("capture", _command(Filter(), text))
    if explained.captures > 1:
        _split(explained, bounds, usable=usable)


def _split(explained: Explained, bounds: Bounds, *, usable: bool) -> None:
    """Print the captures into which an `or` could be split, and what would remain."""
    shown = Explained(
        explained.expression, explained.filter, explained.residual, explained.alternatives[:_SHOWN]
    )
    found = _alternatives(shown, bounds, usable=usable)
    more = explained.captures - len(found)
    done = not more and not any(each["residual"] for each in found)
    _line(
        "or",
        f"with {explained.captures} captures the API would apply {'all of it' if done else 'more of it'}",
    )
    for number, (each, narrower) in enumerate(zip(found, shown.alternatives, strict=True), start=1):
        _line(f"  {number}", each["command"] or str(narrower))
        if each["residual"]:
            _line("     applied afterwards", each["residual"])
    if more:
        _line("", f"and {more} more, which --json lists")


def _alternatives(explained: Explained, bounds: Bounds, *, usable: bool) -> list[dict[str, Any]]:
    found = []
    for each in explained.alternatives:
        left = explain_expression(explained.expression, bounds=bounds, known=each).residual
        command = _command(each, left) if usable else None
        found.append({"filter_v1": each.body(), "residual": left, "command": command})
    return found


def _about(text: str, names: tuple[str, ...]) -> list[str]:
    """Why a capture does not accept the expression."""
    told = []
    if names:
        told.append(
            f"{', '.join(names)}: looked up just now; a capture accepts only addresses, so give those"
        )
    if len(text) > LONGEST:
        told.append(f"a capture accepts filters of at most {LONGEST:,} characters")
    return told


def _command(fields: Filter, text: str) -> str:
    protocol = None if fields.protocol is None else PROTOCOL_NAMES.get(fields.protocol, fields.protocol)
    options = {
        "--src": fields.source_address,
        "--dst": fields.destination_address,
        "--sport": fields.source_port,
        "--dport": fields.destination_port,
        "--proto": protocol,
        "--filter": " ".join(text.split()) or None,
    }
    words = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    return shlex.join([program(), "capture", "simple", *words])


def _line(label: str, value: str) -> None:
    """Print a label and its value in one line, however long, so that it can be copied."""
    console().print(f"{label:<{_LABEL}}{printable(value)}".rstrip(), soft_wrap=True)
