"""A capture started in a terminal: `edgecap capture ...` with a real Ctrl-C."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

_HOME = Path(__file__).resolve().parents[2]


def _own_terminal() -> None:
    """In the child: make its standard input the terminal that Ctrl-C reaches it through."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """One command in a terminal of its own, or without one, as a script runs it.

    Args:
        arguments: of `edgecap`.
        env: variables besides those of this process.
        tty: whether there is a terminal.
    """

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], *, tty: bool) -> None:
        self.said = ""
        self._tty = tty
        ours, theirs = pty.openpty() if tty else os.pipe()
        command = [sys.executable, "-c", "from edgecap.cli.main import main; main()", *arguments]
        self.process = subprocess.Popen(
            command,
            stdin=theirs if tty else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, **env},
            cwd=_HOME,
            start_new_session=True,
            preexec_fn=_own_terminal if tty else _heed,  # noqa: PLW1509 - they take no lock
        )
        os.close(theirs)
        self._ours = ours
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __repr__(self) -> str:
        return f"<Terminal {self.process.pid} [{self.process.poll()}]>"

    @property
    def over(self) -> bool:
        """Whether the command has ended."""
        return self.process.poll() is not None

    def interrupt(self) -> None:
        """Ctrl-C, as a key where there is a terminal."""
        if self._tty:
            os.write(self._ours, b"\x03")
        else:
            self.process.send_signal(signal.SIGINT)

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._ours, text.encode())

    def close(self) -> None:
        """End it for sure."""
        if not self.over:
            self.process.kill()
        self.process.wait()
        self._reader.join(5)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 1 << 16)
            except OSError:  # the terminal ends with the last process in it
                data = b""
            if not data:
                os.close(self._ours)
                return
            self.said += data.decode(errors="replace")


def _heed() -> None:
    """In the child: heed Ctrl-C, which a shell's background jobs inherit as ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
