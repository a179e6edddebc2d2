"""Checks of a store's keys."""

from __future__ import annotations

from edgecap.errors import InvalidRequest

LONGEST_KEY = 1024  # bytes of UTF-8: the limit of S3, R2 and GCS
LONGEST_NAME = 255  # bytes: the limit of a file's name on Linux's file systems
TEMPORARY = ".tmp"  # a folder store keeps unfinished files there


def check_key(key: str) -> None:
    """Reject a key that an object store would reject.

    Raises:
        InvalidRequest: it is empty, too long, or holds a NUL or half a character.
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidRequest("the key is not Unicode text", field="key", where=ascii(key)) from None
    if not key:
        raise InvalidRequest("the key is empty", field="key")
    if "\0" in key:
        raise InvalidRequest("the key holds a NUL", field="key", where=ascii(key))
    if size > LONGEST_KEY:
        raise InvalidRequest(
            f"the key is {size} bytes long, and {LONGEST_KEY} are allowed",
            field="key",
            where=key[:60] + "...",
        )


def check_file_key(key: str) -> None:
    """Reject a key that is not a plain path below a folder.

    Raises:
        InvalidRequest: as `check_key`, or it would leave the folder or reach its temporary files.
    """
    check_key(key)
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidRequest(
            "the key is not a plain path: it has an empty, `.` or `..` part", field="key", where=key
        )
    if parts[0] == TEMPORARY:
        raise InvalidRequest(f"{TEMPORARY} is for unfinished files", field="key", where=key)
    if too_long := [part for part in parts if len(part.encode()) > LONGEST_NAME]:
        raise InvalidRequest(
            f"a part of the key is longer than {LONGEST_NAME} bytes",
            field="key",
            where=too_long[0][:60] + "...",
        )
