"""Folders of this user alone, below TMPDIR."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from edgecap.errors import StoreUnwritable
from edgecap.files.durable import explained


def private_folder(name: str) -> Path:
    """A folder called `name` and this user's number, below TMPDIR; made if missing. Nobody else may look in.

    Raises:
        StoreUnwritable: it cannot be made, or belongs to someone else.
        StoreFull: there is no space for it.
    """
    folder = Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"
    with explained(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise StoreUnwritable("it belongs to someone else", where=str(folder), hint="set TMPDIR")
    return folder
