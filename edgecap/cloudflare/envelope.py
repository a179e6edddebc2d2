"""The envelope of every JSON answer: `{"result", "success", "errors", "messages"}`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_LONGEST = 300  # characters of the API's message that an error repeats
# Names that no ordinary sentence contains may stand alone in a message; the others must be in quotes or at
# the very start.
_RARE = (
    "filter_v1.source_address",
    "filter_v1.source_port",
    "filter_v1.destination_address",
    "filter_v1.destination_port",
    "filter_v1.protocol",
    "source_address",
    "source_port",
    "destination_address",
    "destination_port",
    "destination_conf",
    "ownership_challenge",
    "packet_limit",
    "byte_limit",
    "time_limit",
    "offset_time",
    "colo_name",
    "filter_v1",
)
_ORDINARY = ("type", "system", "colo", "protocol")
_MENTIONED = re.compile(
    rf"\b({'|'.join(re.escape(name) for name in _RARE)})\b"
    rf"|[\"'`]({'|'.join(_ORDINARY)})[\"'`]"
    rf"|(?:^|; )({'|'.join(_ORDINARY)})(?: must\b| is\b|:)"
)
_DEEPEST = 5  # levels of error_chain


@dataclass(frozen=True, slots=True)
class Envelope:
    """An answer's envelope.

    Attributes:
        success: its `success`; None if it is missing.
        has_result: there is a `result`, even if null.
        result: the payload.
        codes: of the errors and of their `error_chain`, in order.
        messages: the texts of the same errors.
        pointed_field: the request's field in a `source.pointer`, or empty.
        total: number of items in a paged collection, if the answer states it.
    """

    success: bool | None
    has_result: bool
    result: Any
    codes: tuple[int, ...]
    messages: tuple[str, ...]
    pointed_field: str
    total: int | None = None

    @property
    def text(self) -> str:
        """The errors' messages in one line."""
        return " ".join("; ".join(dict.fromkeys(self.messages)).split())[:_LONGEST]

    @property
    def field(self) -> str:
        """The request's field that the answer complains about: by pointer or in its text; or empty."""
        if self.pointed_field:
            return self.pointed_field
        match = _MENTIONED.search(self.text)
        return match[match.lastindex or 0] if match else ""


def read_envelope(body: bytes) -> Envelope | None:
    """Parse the envelope in `body`; None if it is not JSON or does not look like one."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict) or not answer.keys() & {"success", "errors", "result"}:
        return None
    success = answer.get("success")
    errors = list(_errors(answer.get("errors"), 0))
    return Envelope(
        success=success if isinstance(success, bool) else None,
        has_result="result" in answer,
        result=answer.get("result"),
        codes=tuple(code for code in map(_code, errors) if code is not None),
        messages=tuple(str(error["message"]) for error in errors if isinstance(error.get("message"), str)),
        pointed_field=next(filter(None, map(_pointed, errors)), ""),
        total=_total(answer.get("result_info")),
    )


def _total(info: object) -> int | None:
    total = info.get("total_count") if isinstance(info, dict) else None
    return total if isinstance(total, int) and not isinstance(total, bool) else None


def _errors(value: object, depth: int) -> Iterator[dict[str, Any]]:
    for item in value if isinstance(value, list) and depth < _DEEPEST else ():
        if isinstance(item, dict):
            yield item
            yield from _errors(item.get("error_chain"), depth + 1)
        elif isinstance(item, str):
            yield {"message": item}


def _code(error: dict[str, Any]) -> int | None:
    code = error.get("code")
    if isinstance(code, str) and code.isascii() and code.isdigit():
        return int(code[:18])
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _pointed(error: dict[str, Any]) -> str:
    """Turn `/filter_v1/source_port` into `filter_v1.source_port`, `#/body/time_limit` into `time_limit`."""
    source = error.get("source")
    pointer = source.get("pointer") if isinstance(source, dict) else None
    if not isinstance(pointer, str):
        return ""
    parts = [part for part in re.split(r"[/.]", pointer.strip("#$ ")) if part]
    if parts[:1] == ["body"]:
        parts = parts[1:]
    return ".".join(parts)[:80]
