"""Local folders for files on their way into a store, and the removal of what crashed runs leave there."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edgecap.errors import ObjectMissing
from edgecap.files.durable import explained
from edgecap.files.private_folder import private_folder
from edgecap.stores.base import Store, Swept


def local_staging() -> Path:
    """A private folder of this user below TMPDIR; created if missing.

    Raises:
        StoreUnwritable: it cannot be created, or belongs to another user.
        StoreFull: the disk is full.
    """
    return private_folder("edgecap")


@contextlib.contextmanager
def working_folder(store: Store, purpose: str) -> Iterator[Path]:
    """A folder for files on their way into `store`; removed at the end in any case.

    Args:
        store: the target; puts from this folder with `move` are cheap.
        purpose: the beginning of the folder's name, which tells after a crash what it was for.

    Raises:
        StoreError: it cannot be created.
        StoreMissing: `store` is a folder that disappeared during the block, such as an unmounted disk.
    """
    staging = store.staging()
    with explained(staging):
        folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=staging))
    try:
        yield folder
    except (ObjectMissing, FileNotFoundError):
        if not folder.exists():
            store.check()  # the working folder is inside the store, and disappears with it
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_folder(folder: Path, older_than: timedelta) -> Swept:
    """Remove files and folders in `folder` that were last written to before `older_than`.

    Files that disappear meanwhile are ignored: another sweep or a finished fetch removed them.

    Raises:
        StoreUnwritable: an old file cannot be removed; all others are gone.
    """
    before = (datetime.now(UTC) - older_than).timestamp()
    files = size = 0
    with explained(folder):
        try:
            entries = sorted(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return Swept()
        failure: OSError | None = None
        for entry in entries:
            found = list(_statuses(entry))
            if not found or max(status.st_mtime for status in found) >= before:
                continue
            try:
                if stat.S_ISDIR(found[0].st_mode):
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                failure = error
                continue
            plain = [status for status in found if not stat.S_ISDIR(status.st_mode)]
            files += len(plain)
            size += sum(status.st_size for status in plain)
        if failure:
            raise failure
    return Swept(files, size)


def _statuses(path: Path) -> Iterator[os.stat_result]:
    """The status of `path` and of everything below it; links are not followed."""
    with contextlib.suppress(FileNotFoundError):
        status = path.lstat()
        yield status
        if stat.S_ISDIR(status.st_mode):
            for below in path.iterdir():
                yield from _statuses(below)
