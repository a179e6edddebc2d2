"""Where files wait on this machine before they go to a store, and what is left there by those that died."""

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
    """A folder of this user alone, below TMPDIR; made if missing.

    Raises:
        StoreUnwritable: it cannot be made, or belongs to someone else.
        StoreFull: there is no space for it.
    """
    return private_folder("edgecap")


@contextlib.contextmanager
def working_folder(store: Store, purpose: str) -> Iterator[Path]:
    """A folder for files on their way into `store`; it is removed whatever happens.

    Args:
        store: where they go; putting them there from here, with `move`, is cheap.
        purpose: the beginning of its name, for whoever finds it after a crash.

    Raises:
        StoreError: it cannot be made.
        StoreMissing: `store` is a folder that went away in the middle of the block, as a disk that is
            unmounted does.
    """
    staging = store.staging()
    with explained(staging):
        folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=staging))
    try:
        yield folder
    except (ObjectMissing, FileNotFoundError):
        if not folder.exists():
            store.check()  # the folder lies in the store, and goes away with it
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_folder(folder: Path, older_than: timedelta) -> Swept:
    """Remove files and folders in `folder` to which nothing was written for so long.

    What vanishes meanwhile is nobody's loss: another sweep, or a fetch that ended.

    Raises:
        StoreUnwritable: something old cannot be removed; all that can be is gone.
    """
    before = (datetime.now(UTC) - older_than).timestamp()
    files = size = 0
    with explained(folder):
        try:
            entries = sorted(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return Swept()
        trouble: OSError | None = None
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
                trouble = error
                continue
            plain = [status for status in found if not stat.S_ISDIR(status.st_mode)]
            files += len(plain)
            size += sum(status.st_size for status in plain)
        if trouble:
            raise trouble
    return Swept(files, size)


def _statuses(path: Path) -> Iterator[os.stat_result]:
    """Of `path` and of all below it; links are not followed."""
    with contextlib.suppress(FileNotFoundError):
        status = path.lstat()
        yield status
        if stat.S_ISDIR(status.st_mode):
            for below in path.iterdir():
                yield from _statuses(below)
