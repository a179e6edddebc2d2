"""Files and folders that only this user can read."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from edgecap.files.durable import explained

FILE_MODE, FOLDER_MODE = 0o600, 0o700


def write_private(file: Path, text: str) -> None:
    """Write a file that only this user can read, in place of one that is there.

    Raises:
        StoreError: it cannot be written.
    """
    temporary = file.with_name(f".{file.name}.{uuid4().hex}.part")
    with explained(file):
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            with os.fdopen(descriptor, "w") as new:
                new.write(text)
            temporary.rename(file)
        finally:
            temporary.unlink(missing_ok=True)


def make_private(folder: Path) -> None:
    """Create a folder that only this user can enter, or close one that is there to all others.

    Raises:
        StoreError: it cannot be created, or belongs to another user.
    """
    with explained(folder):
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        folder.chmod(FOLDER_MODE)
