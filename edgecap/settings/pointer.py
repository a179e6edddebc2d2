"""JSON pointers (RFC 6901) to values in a payload.

::

    /type               the field `type`
    /data/target/ip     a field of a field of a field
    /targets/0          the first of a list
    /a~1b  /a~0b        the fields `a/b` and `a~b`
    /tags/target        in a list such as [{"name": "target", "value": "203.0.113.7"}]: that value

The last is no part of the RFC. A list of names and values is one whose items have a field that ends in
name, key, label, tag, field or title, and one that ends in value, in any case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


_NAME = re.compile(r"(?:name|key|label|tag|field|title)$", re.IGNORECASE)
_VALUE = re.compile(r"value$", re.IGNORECASE)


def _check(pointer: str) -> str:
    if not pointer.startswith("/"):
        raise ValueError(f"{pointer!r} is not a JSON pointer: start it with a slash, such as /data/ip")
    if _ESCAPE.search(pointer):
        raise ValueError(f"{pointer!r} is not a JSON pointer: write ~0 for ~ and ~1 for / in a name")
    return pointer


def _check_each(pointers: str | list[str]) -> str | list[str]:
    for pointer in [pointers] if isinstance(pointers, str) else pointers:
        _check(pointer)
    return pointers


Pointer = Annotated[str, AfterValidator(_check)]
Pointers = Annotated[str | list[str], AfterValidator(_check_each)]
"""One pointer, or several of which the first that finds a usable value counts."""


def look_up(document: Any, pointer: str) -> Any:
    """The value at `pointer`; None if there is none."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name)
        elif not isinstance(document, list):
            return None
        elif _INDEX.fullmatch(name) and int(name) < len(document):
            document = document[int(name)]
        else:
            document = named_values(document).get(name)
    return document


def named_values(items: Any) -> dict[str, Any]:
    """The values of a list of names and values, by name; the first of a name counts."""
    found: dict[str, Any] = {}
    for name, value in _pairs(items):
        found.setdefault(name, value)
    return found


def pair_in(item: Mapping[str, Any]) -> tuple[str, str] | None:
    """The name in an item of such a list, and the field that holds its value; None if it is no such item."""
    name = next((item[field] for field in item if _NAME.search(field)), None)
    field = next((field for field in item if _VALUE.search(field)), None)
    return (name, field) if isinstance(name, str) and field is not None else None


def _pairs(items: Any) -> Iterator[tuple[str, Any]]:
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and (pair := pair_in(item)):
            yield pair[0], item[pair[1]]
