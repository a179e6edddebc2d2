"""A durable SQLite file for one process that writes and others that read.

A transaction that returned is on the disk, also after SIGKILL or a power cut (WAL, `synchronous=FULL`).
Every error of SQLite becomes one of the error tree.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any

from edgecap.errors import ConfigError, Damaged, ObjectMissing, StoreError, StoreFull, StoreUnwritable
from edgecap.files.durable import explained, make_folders, sync_folder
from edgecap.incidents.inbox.schema import APPLICATION_ID, TABLES, TO_VERSION, VERSION

_PATIENCE = 10  # seconds to wait for another process, such as a person's sqlite3, to let go of the file
_PRIVATE = 0o700  # bodies of alerts are private


class Database:
    """An inbox's open file, made if it does not exist.

    Threads may share it. It has two connections, so that a reader never waits for the fsync of a write.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open it.

        Raises:
            StoreUnwritable: the file or its folder cannot be written.
            StoreFull: no space is left.
            Damaged: it is not an inbox, or its pages contradict each other.
            ConfigError: another version of edgecap wrote it, or another process writes it already.
            ObjectMissing: it does not exist, and `read_only` does not make it.
            StoreError: another error of the disk.
        """
        self.path = path
        self._read_only = read_only
        self._turn, self._reading = RLock(), RLock()
        self._lock: int | None = None
        self._writer: sqlite3.Connection | None = None
        try:
            if read_only:
                _look_for(path)
            else:
                self._lock = _take_lock(path)
                self._writer = self._connect("rwc")
                with explained(path):
                    path.chmod(0o600)
                    sync_folder(path.parent)
                self._prepare(self._writer)
            self._reader = self._connect("ro")
            self._check(self._reader)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file. Committed data is on the disk already."""
        with self._turn, self._reading:
            for connection in (getattr(self, "_reader", None), self._writer):
                if connection is not None:
                    with suppress(sqlite3.Error):
                        connection.close()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of the block is on the disk at its end, or nothing. One at a time.

        Raises:
            StoreError: nothing was written; says why.
        """
        if self._writer is None:
            raise StoreUnwritable("it was opened to be read", where=str(self.path))
        with self._turn, self._explained():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after some errors, such as a full disk.
                if self._writer.in_transaction:
                    with suppress(sqlite3.Error):
                        self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read from one snapshot, without waiting for a transaction.

        Raises:
            StoreError: it cannot be read.
        """
        with self._reading, self._explained():
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                if self._reader.in_transaction:
                    self._reader.execute("ROLLBACK")

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """The rows that one statement returns."""
        with self._reading, self._explained():
            return self._reader.execute(sql, parameters).fetchall()

    def _connect(self, mode: str) -> sqlite3.Connection:
        with self._explained():
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=_PATIENCE,
                isolation_level=None,  # transactions begin and end where this module says so
                check_same_thread=False,
            )
            connection.execute("PRAGMA synchronous = FULL")
            return connection

    def _prepare(self, writer: sqlite3.Connection) -> None:
        with self._explained():
            fresh = not writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if not fresh:
                version = self._check(writer, oldest=min(TO_VERSION) - 1)
                found = writer.execute("PRAGMA quick_check(1)").fetchone()[0]
                if found != "ok":
                    raise _damaged(self.path, found)
            writer.execute("PRAGMA journal_mode = WAL")
        if not fresh:
            for number in range(version + 1, VERSION + 1):
                with self.transaction():
                    for statement in TO_VERSION[number]:
                        writer.execute(statement)
                    writer.execute(f"PRAGMA user_version = {number}")
        if fresh:
            with self.transaction():
                for statement in TABLES:
                    writer.execute(statement)
                writer.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                writer.execute(f"PRAGMA user_version = {VERSION}")

    def _check(self, connection: sqlite3.Connection, *, oldest: int = VERSION) -> int:
        """Return its version, if it is an inbox of this version, or of an older one down to `oldest`."""
        with self._explained():
            mark = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        if mark != APPLICATION_ID:
            raise Damaged("the file is not an inbox of alerts", where=str(self.path), hint=_MOVE_IT)
        if not oldest <= version <= VERSION:
            converts = version in range(min(TO_VERSION) - 1, VERSION)
            raise ConfigError(
                f"the inbox of alerts has format {version}, and this edgecap reads {VERSION}",
                where=str(self.path),
                hint="start the receiver, which converts it"
                if converts
                else "use the version that wrote it, or move the file away to start with an empty inbox",
            )
        return int(version)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise explain(error, self.path) from error


_MOVE_IT = "move the file away to start with an empty inbox; its alerts are in no other file"


def _damaged(path: Path, how: str) -> Damaged:
    return Damaged(f"the inbox of alerts is damaged: {how}", where=str(path), hint=_MOVE_IT)


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """The error of the tree for an error of SQLite.

    Args:
        error: SQLite's.
        path: the inbox.
    """
    name = getattr(error, "sqlite_errorname", None) or ""
    match name.split("_")[:2]:
        case ["SQLITE", "FULL"]:
            return StoreFull("no space is left", where=str(path), hint="free some space")
        case ["SQLITE", "READONLY" | "CANTOPEN" | "PERM" | "AUTH"]:
            hint = "correct the permissions of the file and its folder"
            return StoreUnwritable(
                f"the inbox of alerts cannot be written: {error}", where=str(path), hint=hint
            )
        case ["SQLITE", "CORRUPT" | "NOTADB" | "SCHEMA"]:
            return _damaged(path, str(error))
        case ["SQLITE", "BUSY" | "LOCKED"]:
            hint = "end the other program that has it open"
            return StoreError("another process holds the inbox of alerts", where=str(path), hint=hint)
    told = ", ".join(filter(None, (str(error), name)))
    return StoreError(f"the inbox of alerts: {told}", where=str(path), hint="check this disk")


def _look_for(path: Path) -> None:
    with explained(path):
        if not path.exists():
            hint = "the receiver makes it at its first start"
            raise ObjectMissing("there is no inbox of alerts", where=str(path), hint=hint)


def _take_lock(path: Path) -> int:
    """Take the lock of the one writer. It ends with this process, however that ends."""
    beside = path.with_name(path.name + ".lock")
    with explained(path.parent):
        made = not path.parent.exists()
        try:
            make_folders(path.parent)
        except (FileExistsError, NotADirectoryError) as error:
            raise StoreUnwritable(
                "a file is where the folder of the inbox of alerts should be",
                where=str(path.parent),
                hint="move it away, or choose another place",
            ) from error
        if made:
            path.parent.chmod(_PRIVATE)
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise ConfigError(
            "another receiver has this inbox of alerts open",
            where=str(path),
            hint="stop that receiver, or set another home for this one",
        ) from None
    return descriptor
