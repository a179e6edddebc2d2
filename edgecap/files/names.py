"""File names as text: on Linux they are bytes, and not always UTF-8."""

from __future__ import annotations

import os


def shown(name: str | os.PathLike[str]) -> str:
    r"""A name as text that can be printed and stored anywhere: bytes that are not UTF-8 become `\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
