"""Prefect's server with its writes to SQLite counted: `benches.cost` starts it in place of the server.

A commit counts if its transaction changed a row. The rows are those of SQLite's `total_changes`: inserted,
updated and deleted ones, also by triggers and foreign keys; a transaction that is rolled back counts nothing.
The two numbers lie in the file that `EDGECAP_BENCH_WRITES` names.
"""

from __future__ import annotations

import mmap
import os
import sqlite3
import struct
import threading
from functools import partial
from pathlib import Path
from typing import Any

WRITES = "EDGECAP_BENCH_WRITES"
_NUMBERS = struct.Struct("qq")


class _Writes:
    """The commits and rows so far, in a file that others read."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(_NUMBERS.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _NUMBERS.size)
        self._lock = threading.Lock()
        self._commits = self._rows = 0

    def add(self, rows: int) -> None:
        """Count a commit."""
        with self._lock:
            self._commits += 1
            self._rows += rows
            _NUMBERS.pack_into(self._memory, 0, self._commits, self._rows)


def read_writes(path: Path) -> tuple[int, int]:
    """The commits and the rows so far; zeros if the server has not started."""
    content = path.read_bytes() if path.exists() else b""
    commits, rows = _NUMBERS.unpack(content or bytes(_NUMBERS.size))
    return commits, rows


def _counted(writes: _Writes) -> type[sqlite3.Connection]:
    class Counted(sqlite3.Connection):
        """A connection that counts what it commits."""

        _before = 0  # changes at the end of the last transaction

        def commit(self) -> None:
            changes = self.total_changes
            super().commit()
            if changes != self._before:
                writes.add(changes - self._before)
                self._before = changes

        def rollback(self) -> None:
            super().rollback()
            self._before = self.total_changes

    return Counted


def main() -> None:
    """Run the `prefect` command as edgecap's setups do, with the arguments of this program."""
    factory = _counted(_Writes(Path(os.environ[WRITES])))
    connect: Any = partial(sqlite3.connect, factory=factory)
    sqlite3.connect = connect
    from deployments.local import prefect_server  # noqa: PLC0415 - once the connections are counted

    prefect_server.main()


if __name__ == "__main__":
    main()
