"""The raw files of an entry as files of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecap.archive.manifest import FileRecord
from edgecap.stores.base import Store
from edgecap.stores.transfer import fetch_many

_PARALLEL = 4


def local_files(archive: Store, prefix: str, raw: Sequence[FileRecord], folder: Path) -> list[Path]:
    """The archive's own files if it is a folder of this machine, else copies in `folder`.

    Raises:
        StoreError: the archive cannot be read, or the disk is full.
    """
    keys = [prefix + file.name for file in raw]
    here = [archive.local(key) for key in keys]
    found = [path for path in here if path is not None]
    if len(found) == len(keys):
        return found
    targets = [folder / f"{number}.pcap" for number in range(len(keys))]
    return [
        fetched.path
        for fetched in fetch_many(archive, [archive.stat(key) for key in keys], targets, parallel=_PARALLEL)
    ]
