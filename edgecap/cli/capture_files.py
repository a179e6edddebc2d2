"""What `edgecap summary` and `edgecap merge` share: their files, their filter, and how they complain."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from edgecap.errors import Damaged, InvalidRequest

Files = Annotated[str, Parameter(name="FILE", allow_leading_hyphen=True)]
Filter = Annotated[str, Parameter(name="--filter")]


def named(files: tuple[str, ...], nothing: str) -> tuple[str, ...]:
    """The files.

    Raises:
        InvalidRequest: none is named.
    """
    if not files:
        raise InvalidRequest(f"there is {nothing}", field="FILE", hint="name at least one file")
    return files


def check_inner(expression: str, *, inner: bool) -> None:
    """Refuse `--inner` without a filter.

    Raises:
        InvalidRequest: there is no filter.
    """
    if inner and not expression.strip():
        raise InvalidRequest("there is no filter to apply inside", field="--inner", hint="add --filter")


def complain_of(damaged: dict[str, str]) -> None:
    """Raise if a part of a file was left out. The rest was used, but it is an error, as in other tools.

    Raises:
        Damaged: the first file, and what of it was left out.
    """
    if damaged:
        first, what = next(iter(damaged.items()))
        more = f", and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        raise Damaged(f"a part is left out: {what}", where=f"{first}{more}", hint="all else is used")
