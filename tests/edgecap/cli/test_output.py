"""Tables on terminals: nothing that a person wants to copy is broken over lines."""

import io
import os
import pty

import pytest
from rich.console import Console

from edgecap.cli.output import colourful, print_hanging, print_table, printable

PATH = "file:/archive/captures/2026/11/23/2026-11-23T06-34-06Z_full_ORD_" + "0af1" * 8


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def printed(width, stream=None):
    stream = stream or Terminal()
    out = Console(file=stream, width=width, color_system=None)
    print_table(out, ("id", ">packets", "path"), [("0af1" * 8, "1,234", PATH)])
    return stream.getvalue()


def test_a_wide_terminal_gets_one_line_a_row():
    [_, _, row] = printed(200).splitlines()
    assert row.split() == ["0af1" * 8, "1,234", PATH]


def test_a_pipe_gets_tabs_between_columns_and_no_padding():
    assert printed(40, io.StringIO()) == f"id\tpackets\tpath\n{'0af1' * 8}\t1,234\t{PATH}\n"


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_narrow_terminal_gets_the_path_whole_below_its_row(width):
    text = printed(width)
    assert f"  {PATH}" in text.splitlines()
    assert "0af10af1 " in text


@pytest.mark.parametrize("width", [30, 60, 100])
def test_what_does_not_fit_stands_below_its_own_row(width):
    out, said = Console(file=(stream := Terminal()), width=width, color_system=None), "said " * 30
    rows = [(f"2026-11-23 06:34:0{number}", "opened", "flood", f"{number} {said}") for number in range(4)]
    print_table(out, ("received", "outcome", "alert", "why"), rows)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    starts = [text.index(row[0]) for row in rows]
    for number, start in enumerate(starts):
        mine = text[start : starts[number + 1] if number < 3 else None]
        assert "flood" in mine
        assert f"  {number} said said" in mine
        assert mine.count("said") == 30


def test_lines_of_a_plan_hang_and_are_whole_in_a_pipe():
    out = Console(file=(stream := Terminal()), width=40, color_system=None)
    print_hanging(out, "one two three four five six seven eight", indent=10, name="note")
    first, *others = stream.getvalue().splitlines()
    assert first.startswith("note      one two")
    assert all(line.startswith(" " * 10) and len(line) <= 40 for line in others)
    pipe = io.StringIO()
    print_hanging(Console(file=pipe, width=40), "one two three four five six", indent=10, name="note")
    assert pipe.getvalue() == "note      one two three four five six\n"


def test_names_from_elsewhere_cannot_control_the_terminal():
    assert printable("a\x1b[31mb\x00\r\nc") == "a [31mb   c"


def test_colours_are_for_terminals_without_no_color(monkeypatch):
    main, other = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with os.fdopen(main, "rb", buffering=0), os.fdopen(other, "w") as terminal:
        assert colourful(terminal)
        monkeypatch.setenv("NO_COLOR", "1")
        assert not colourful(terminal)
        monkeypatch.delenv("NO_COLOR")
        monkeypatch.setenv("TERM", "dumb")
        assert not colourful(terminal)
    assert not colourful(io.StringIO())
