"""Private folders of this user below TMPDIR."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from edgecap.errors import StoreUnwritable
from edgecap.files.durable import explained


def private_folder(name: str) -> Path:
    """A folder below TMPDIR, named `name` and this user's number; created if missing, private to this user.

    Raises:
        StoreUnwritable: it cannot be created, or belongs to another user.
        StoreFull: the disk is full.
    """
    folder = Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"
    with explained(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise StoreUnwritable("it belongs to another user", where=str(folder), hint="set TMPDIR")
    return folder
