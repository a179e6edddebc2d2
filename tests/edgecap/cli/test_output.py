"""Tables on terminals: nothing that a person wants to copy is broken over lines."""

import io
import os
import pty

import pytest
from rich.console import Console

from edgecap.cli.output import colourful, print_table, printable

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
def test_a_narrow_terminal_gets_the_path_whole_below_the_table(width):
    text = printed(width)
    assert PATH in text.splitlines()
    assert "0af10af1 " in text


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
