"""Ctrl-C during a capture: what is asked and what the answer means; signals become one exception."""

import os
import signal
import sys

import pytest

from edgecap.cli.interrupting import Signalled, asks, signals, stop_wanted


@pytest.mark.parametrize(
    ("answer", "wanted"), [("\n", True), ("y\n", True), ("N\n", False), ("no\n", False), ("", True)]
)
def test_only_a_no_leaves_the_capture_running(monkeypatch, capsys, answer, wanted):
    reads, writes = os.pipe()
    os.write(writes, answer.encode())
    os.close(writes)
    with os.fdopen(reads) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert stop_wanted("c" * 32) is wanted
    assert "c" * 32 in capsys.readouterr().err


def test_it_asks_only_at_a_terminal_and_not_after_sigterm(monkeypatch):
    ours, theirs = os.openpty()
    try:
        with os.fdopen(theirs, "r+b", buffering=0) as raw:
            terminal = open(raw.fileno(), "w", closefd=False)  # noqa: SIM115 - the descriptor's
            monkeypatch.setattr(sys, "stderr", terminal)
            monkeypatch.setattr(sys, "stdin", terminal)
            assert asks(Signalled(signal.SIGINT))
            assert not asks(Signalled(signal.SIGTERM))
            with open(os.devnull) as nothing:  # noqa: PTH123
                monkeypatch.setattr(sys, "stdin", nothing)
                assert not asks(Signalled(signal.SIGINT))
            monkeypatch.undo()
            terminal.close()
    finally:
        os.close(ours)


@pytest.fixture
def heeded(number):
    """A program under `nohup`, or in a job of CI's, ignores SIGHUP from its start."""
    before = signal.signal(number, signal.SIG_DFL)
    yield
    signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_raised_once_and_others_get_theirs_back(number, heeded):
    with pytest.raises(Signalled) as raised, signals():
        signal.raise_signal(number)
    assert raised.value.number == number
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_hang_up_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
