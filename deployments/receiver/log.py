"""A log that no stranger can fill and that holds no secrets: a limited number of lines of a kind a minute."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from edgecap.redact import redact

MOST = 10  # lines of one kind in a window
WINDOW = 60.0  # seconds
KINDS = 200  # that are told apart; all others count as one
LONGEST = 1000  # characters of a line


@dataclass
class _Window:
    began: float
    seen: int = 0


class Quiet(logging.Filter):
    """Lets the first lines of each kind through, and with the next window's first says how many it left out.

    Args:
        clock: seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[object, _Window] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written; a kind is what its line is before values are put in."""
        with self._lock:
            now = self._clock()
            key: object = (record.name, record.levelno, str(record.msg))
            if key not in self._windows and len(self._windows) >= KINDS:
                key = None
            window = self._windows.setdefault(key, _Window(now))
            left_out = 0
            if now - window.began >= WINDOW:
                left_out = max(0, window.seen - MOST)
                self._windows[key] = window = _Window(now)
            window.seen += 1
        if left_out:
            record.msg = f"{record.getMessage()} ({left_out} more of this kind were left out before)"
            record.args = ()
        return window.seen <= MOST


class OneLine(logging.Formatter):
    """Time (UTC), level and message on one line without secrets; of an exception, its kind alone.

    What an exception says may quote what a stranger sent.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[0]:
            text += f": {record.exc_info[0].__name__}"
        clean = "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        return f"{stamp} {record.levelname.lower()} {redact(clean[:LONGEST])}"


def log_quietly(stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
    """Send what this process logs to `stream`, stderr if not given, in this manner and no other."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(OneLine())
    handler.addFilter(Quiet(clock))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # Prefect, once it is imported, gives the server's log a handler of its own.
    for taken in ("uvicorn", "uvicorn.error"):
        logging.getLogger(taken).handlers.clear()
        logging.getLogger(taken).propagate = True
    for noisy in ("httpx", "httpcore"):  # a line for each request, with its URL
        logging.getLogger(noisy).setLevel(logging.WARNING)
