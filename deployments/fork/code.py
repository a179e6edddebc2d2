"""Noticing that the code on disk is no longer the code that was imported."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable
from pathlib import Path

from deployments.project import PROJECT

OURS = tuple(PROJECT / name for name in ("edgecap", "tasks", "flows", "deployments"))


class Code:
    """Source files as they are now: ours, and the environment's list of installed packages.

    Args:
        folders: with our packages' source files.
    """

    def __init__(self, folders: Iterable[Path] = OURS) -> None:
        files = [file for folder in folders for file in folder.rglob("*.py")]
        # Installing, upgrading or removing a package changes this folder.
        installed = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
        self._seen = {path: stamp(path) for path in (*files, *installed)}

    def __repr__(self) -> str:
        return f"<Code [{len(self._seen)} files]>"

    def has_changed(self) -> bool:
        """Whether one of the files was written or removed since."""
        return any(stamp(path) != seen for path, seen in self._seen.items())


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
