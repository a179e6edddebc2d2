"""The bar of bytes: only on a terminal, only for what takes long, and out of the way of other output."""

import io
import sys

import pytest

from edgecap.cli.progress import ByteBar


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def make(monkeypatch):
    """Makes a bar on a terminal, and the terminal."""

    def bar(total, after=0):
        monkeypatch.setattr(sys, "stderr", Terminal())
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.delenv("NO_COLOR", raising=False)
        return ByteBar("verify", total, after=after), sys.stderr

    return bar


def uncounted():
    raise AssertionError("nobody sees the bar, so nothing is counted for it")


def test_a_pipe_gets_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with ByteBar("verify", uncounted, after=0) as bar:
        bar.advance(b"abc")
    assert sys.stderr.getvalue() == ""


def test_a_terminal_sees_how_far_it_is(make):
    bar, terminal = make(lambda: 4_000_000)
    with bar:
        bar.advance(bytes(1_000_000))
        bar.advance(bytes(1_000_000))
    assert "verify" in terminal.getvalue()
    assert "/4.0 MB" in terminal.getvalue()


def test_what_is_over_soon_shows_no_bar(make):
    bar, terminal = make(uncounted, after=60)
    with bar:
        bar.advance(b"abc")
    assert terminal.getvalue() == ""


def test_it_comes_back_after_other_output(make):
    bar, terminal = make(lambda: 6)
    with bar:
        bar.advance(b"abc")
        bar.pause()
        shown = len(terminal.getvalue())
        bar.advance(b"abc")
        assert len(terminal.getvalue()) > shown
