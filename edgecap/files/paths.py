"""Paths as people read them."""

from __future__ import annotations

import os
from pathlib import Path


def near_path(path: Path) -> str:
    """A path relative to the working folder, if that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)
