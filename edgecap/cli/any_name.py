"""Let stdout and stderr take names that are not UTF-8. Imports little: every command needs it."""

from __future__ import annotations

import codecs
import sys

_BYTES = range(0xDC80, 0xDD00)  # what Python makes of bytes that are not UTF-8, in names and arguments
_HANDLER = "edgecap"


def print_any_name() -> None:
    r"""Make stdout and stderr take any text: bytes of a name that are not UTF-8 appear as `\xff`."""
    codecs.register_error(_HANDLER, _escaped_part)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)


def escaped(letter: str) -> str:
    r"""A character that an encoding does not have, as `\xff` if it stands for a byte, else as `\u20ac`."""
    number = ord(letter)
    if number in _BYTES:
        return f"\\x{number - 0xDC00:02x}"
    return letter.encode("ascii", "backslashreplace").decode()


def _escaped_part(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(escaped, error.object[error.start : error.end])), error.end
