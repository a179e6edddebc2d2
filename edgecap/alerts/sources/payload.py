"""A payload on its way in: from bytes to JSON that is safe to read, and to keep without its secrets."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from edgecap.errors import AlertNotUnderstood
from edgecap.redact import HIDDEN, redact
from edgecap.settings.alerts import PRODUCTS
from edgecap.settings.pointer import pair_in

MOST_NESTED = 64  # levels; real alerts have 6, and Python's own limit must never be met
MOST_TEXT = (
    10_000  # characters of one text that are kept; more than any title, message or list of targets needs
)
LONGEST_WORD = 128  # characters without a break: a SHA-512 fits; a longer one may be a token

CUT = re.compile(r"\.\.\. \(\d+ characters, SHA-256 \w+\)$")
"""How a text ends of which only the first 10,000 characters were kept."""

_LARGEST_PAIR = 4  # fields: a name, its value, and what else there may be

_LONG_WORD = re.compile(rf"[A-Za-z0-9+.\-_=]{{{LONGEST_WORD + 1},}}")
# Without one of these in it, a text has nothing that `redact` looks for, and most texts have none.
_MAY_HOLD_A_SECRET = re.compile(
    r"key|token|secret|credential|signature|bearer|webhook|://|%3a", re.IGNORECASE
)

# A value under such a name is a secret whatever it looks like. `alert_key` and `incident_key` are none.
_SECRET_NAME = re.compile(
    r"secret|passw(?:or)?d|passphrase|authorization|credential"
    r"|token$|signature$|(?:api|access|private|routing|integration|service|signing)[-_]?key(?:[-_]?id)?$"
    r"|^cf-webhook-auth$|^cookie$",
    re.IGNORECASE,
)


def decode(body: bytes, source: str) -> Any:
    """The JSON in `body`.

    Args:
        body: as it arrived.
        source: whose alert it is, for the error.

    Raises:
        AlertNotUnderstood: it is not JSON in UTF-8, or has NaN or too deep nesting.
    """
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise _refused("the body is not UTF-8", source) from None
    except json.JSONDecodeError as error:
        raise _refused(f"the body is not JSON: {error}", source) from None
    except ValueError as error:  # NaN, or a number with thousands of digits
        raise _refused(f"the body is JSON that cannot be read: {error}", source) from None
    except RecursionError:
        raise _refused("the body is nested too deeply", source) from None


def as_object(payload: object, source: str) -> dict[str, Any]:
    """A copy of `payload` that is safe to read and to keep: a JSON object without secrets.

    Every parser starts here. So no text of a payload holds a secret that its name or form gives away, half a
    character that could not be stored, or more than 10,000 characters.

    Raises:
        AlertNotUnderstood: it is not a JSON object, or is nested more than 64 levels deep.
    """
    if not isinstance(payload, dict):
        raise _refused(f"the body is {_name_of(payload)}, not a JSON object", source)
    _check_depth(payload, source)
    return {_safe_text(str(name)): _safe(item, secret=_is_secret(name)) for name, item in payload.items()}


def as_objects(payload: object, source: str) -> list[dict[str, Any]]:
    """The same of an object, or of each object of a list that is not empty.

    Raises:
        AlertNotUnderstood: it is neither, or is nested more than 64 levels deep.
    """
    if not isinstance(payload, list):
        return [as_object(payload, source)]
    if not payload:
        raise _refused("the body is an empty list", source)
    for number, item in enumerate(payload):
        if not isinstance(item, dict):
            raise _refused(f"item {number} of the body is {_name_of(item)}, not an object", source)
    return [as_object(item, source) for item in payload]


def list_of_objects(payload: Mapping[str, Any], name: str, source: str) -> list[dict[str, Any]]:
    """The list of objects under `name`; not empty.

    Raises:
        AlertNotUnderstood: it is missing, not a list, or empty, or one of its items is not an object.
    """
    items = payload.get(name)
    if not isinstance(items, list) or not items:
        raise _refused(f"the body has no list of {name}", source)
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            raise _refused(f"{name}[{number}] is {_name_of(item)}, not an object", source)
    return items


def not_understood(what: str, source: str) -> AlertNotUnderstood:
    """The error that every parser raises; `what` says in a line what is missing."""
    return _refused(what, source)


def _refused(what: str, source: str) -> AlertNotUnderstood:
    page = source if source in PRODUCTS else "generic"
    return AlertNotUnderstood(
        what, where=f"alert from {source}", hint=f"see docs/alerts/{page}.md for what it should send"
    )


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _name_of(value: object) -> str:
    names = {list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), "no JSON")


def _check_depth(payload: dict[str, Any], source: str) -> None:
    """Level by level and not by recursion, which is what deep nesting would break."""
    level: list[Any] = [payload]
    for _ in range(MOST_NESTED):
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise _refused(f"the body is nested more than {MOST_NESTED} levels deep", source)


def _is_secret(name: object) -> bool:
    return bool(_SECRET_NAME.search(str(name)))


def _secret_of_pair(item: dict[str, Any]) -> str | None:
    """The field with the secret in a pair such as `{"name": "api_key", "value": "..."}`; None if none has."""
    pair = pair_in(item) if len(item) <= _LARGEST_PAIR else None
    return pair[1] if pair and _is_secret(pair[0]) else None


def _safe(value: Any, *, secret: bool) -> Any:
    """`secret`: the value stands under a name that gives it away. A table of secrets is looked into."""
    if isinstance(value, dict):
        hidden = _secret_of_pair(value)
        return {
            _safe_text(str(name)): _safe(item, secret=name == hidden or _is_secret(name))
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_safe(item, secret=secret) for item in value]
    if secret and value is not None and not isinstance(value, bool):
        return HIDDEN
    if isinstance(value, str):
        return _safe_text(value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _safe_text(text: str) -> str:
    """Text that can be stored: whole characters, no secrets, of bounded length.

    Long words go before `redact` sees them: it takes time by the square of their length.
    """
    text = text.encode("utf-8", "replace").decode()
    if len(text) > MOST_TEXT:
        text = f"{text[:MOST_TEXT]}... ({len(text)} characters, {_digest(text)})"
    if len(text) > LONGEST_WORD:
        text = _LONG_WORD.sub(_left_out, text)
    return redact(text) if _MAY_HOLD_A_SECRET.search(text) else text


def _left_out(word: re.Match[str]) -> str:
    """Still different for different words, so that identities which follow from them are."""
    return f"({len(word[0])} characters, {_digest(word[0])})"


def _digest(text: str) -> str:
    return f"SHA-256 {hashlib.sha256(text.encode()).hexdigest()[:12]}"
