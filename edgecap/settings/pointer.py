"""JSON pointers (RFC 6901) to values in a payload.

::

    /type               the field `type`
    /data/target/ip     a field of a field of a field
    /targets/0          the first of a list
    /a~1b  /a~0b        the fields `a/b` and `a~b`
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator

_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


def _check(pointer: str) -> str:
    if not pointer.startswith("/"):
        raise ValueError(f"{pointer!r} is not a JSON pointer: start it with a slash, such as /data/ip")
    if _ESCAPE.search(pointer):
        raise ValueError(f"{pointer!r} is not a JSON pointer: write ~0 for ~ and ~1 for / in a name")
    return pointer


Pointer = Annotated[str, AfterValidator(_check)]


def look_up(document: Any, pointer: str) -> Any:
    """The value at `pointer`; None if there is none."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and _INDEX.fullmatch(name) and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document
