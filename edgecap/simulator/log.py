"""The simulator's log of requests, answers and actions: one JSON document per line.

Tests rely on it. A line is written and flushed before the answer is sent or the next step starts.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from edgecap.redact import HIDDEN, redact
from edgecap.requests import rfc3339
from edgecap.simulator.clock import Clock

KEPT = 100_000  # events in memory
_SECRET_FIELDS = frozenset({"ownership_challenge"})


class EdgeLog:
    """All events since the start in a file, if one is given; the latest in memory.

    Every event has `event`, `number` (from 1), `time` (the simulator's clock) and `wall` (this machine's).
    Kinds:

    - `request`: an API call. `method`, `path`, `body` without secrets, `outcome` (`accepted` or `refused`),
      `status`, `reason`, `capture_id`, `caller`, `received`, `fault`, `answered` (false: no answer left).
    - `state`: a capture's state. `capture_id`, `type`, `account_id`, `before`, `after`; `lane` is `taken`
      when a capture was accepted, `free` when it no longer holds its lane.
    - `captured`: a full capture stopped being pending or running. `packets`, `bytes`, `why`.
    - `delivery`: a file in the bucket. `capture_id`, `bucket`, `key`, `bytes`, `packets`, `server`, `fault`.
    - `logpush`: a file of Logpush in its bucket. `bucket`, `key`, `rows`, `start`, `end`.
    - `stop`, `ownership`, `fault`, `trouble`, `attacks` (their end): what the names say.

    Args:
        clock: for `time`.
        path: a file to append to.
    """

    def __init__(self, clock: Clock, path: Path | None = None) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._events: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._count = 0
        self._file: TextIO | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")

    def __repr__(self) -> str:
        return f"<EdgeLog [{self._count} events]>"

    def write(self, event: str, **fields: Any) -> None:
        """Record an event; fields that are None are omitted."""
        with self._lock:
            self._count += 1
            line: dict[str, Any] = {
                "event": event,
                "number": self._count,
                "time": rfc3339(self._clock.now()),
                "wall": rfc3339(datetime.now(UTC)),
                **{name: value for name, value in fields.items() if value is not None},
            }
            self._events.append(line)
            if self._file is not None:
                self._file.write(json.dumps(line) + "\n")
                self._file.flush()

    def events(self, event: str = "", *, since: int = 0) -> list[dict[str, Any]]:
        """Events of a kind, or all, with a number above `since`; at most the latest `KEPT`."""
        with self._lock:
            return [line for line in self._events if line["number"] > since and event in ("", line["event"])]

    def close(self) -> None:
        """Close the file; events remain readable."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def without_secrets(value: Any) -> Any:
    """A JSON value with keys and challenges hidden."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    if isinstance(value, dict):
        return {
            key: HIDDEN if key in _SECRET_FIELDS else without_secrets(item) for key, item in value.items()
        }
    return value
