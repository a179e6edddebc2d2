"""Write a file that a person named: completely or not at all, and over an existing one only with --force."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecap.errors import InvalidRequest
from edgecap.files.durable import explained, rename_new


def require_free(target: Path, *, field: str, other: str) -> None:
    """Raise if there is such a file.

    Args:
        target: the file that is to be made.
        field: the option or argument that named it, for the error.
        other: how to name another file, for the error.

    Raises:
        InvalidRequest: it exists.
    """
    if target.exists() and not target.is_dir():
        raise _taken(target, field, other)


def make_folder(folder: Path, *, field: str, hint: str) -> None:
    """Make a folder that a person named, if it does not exist.

    Args:
        folder: the folder.
        field: the option or argument that named it, for the error.
        hint: what to do if it is a file, for the error.

    Raises:
        InvalidRequest: it is a file.
        StoreError: it cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise InvalidRequest(f"{folder} is a file", field=field, hint=hint)
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def written(target: Path, *, force: bool, field: str, other: str) -> Iterator[Path]:
    """A path beside `target` to write to; it becomes `target` if the block succeeds, else it is removed.

    Args:
        target: the file.
        force: replace a file that exists.
        field: the option or argument that named the file, for errors.
        other: how to name another file, for errors.

    Raises:
        InvalidRequest: the file exists and may not be replaced, it is a folder, or its folder does not exist.
        StoreError: it cannot be written.
    """
    if target.is_dir():
        raise InvalidRequest(f"{target} is a folder", field=field, hint="give a file in it")
    if not target.parent.is_dir():
        raise InvalidRequest(
            f"the folder {target.parent} does not exist", field=field, hint="create it first"
        )
    if not force:
        require_free(target, field=field, other=other)
    beside = target.with_name(f".{target.name[:200]}.{uuid.uuid4().hex[:8]}")
    with explained(target):
        try:
            yield beside
            if force:
                beside.replace(target)
            else:
                rename_new(beside, target)
        except FileExistsError:
            raise _taken(target, field, other) from None
        finally:
            beside.unlink(missing_ok=True)


def _taken(target: Path, field: str, other: str) -> InvalidRequest:
    return InvalidRequest(
        f"{target} already exists", field=field, hint=f"--force replaces it, {other} names another file"
    )
