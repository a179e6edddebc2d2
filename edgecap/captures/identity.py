"""The identity of an intent: derived, so that the same run has the same one however often it is restarted."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

_SPACE = uuid.UUID("6d0c5bd6-8a8e-5a3c-9d3e-0d9b3f3a7c11")  # made for this purpose; any constant would do


def intent_id(*parts: str) -> str:
    """32 hex digits that follow from `parts`: a flow run's id, or an incident's id, phase and number.

    Raises:
        ValueError: there are no parts, and so nothing to derive from.
    """
    if not parts or not all(parts):
        raise ValueError("an intent's identity needs at least one part, and none of them empty")
    return uuid.uuid5(_SPACE, "\x1f".join(parts)).hex


def fingerprint(moment: datetime, intent: str) -> datetime:
    """`moment` with microseconds that tell which intent asked, and never later than `moment`.

    The API echoes `offset_time`, so a simple capture whose answer was lost is recognised by it.
    """
    marked = moment.replace(microsecond=int(intent[:12], 16) % 1_000_000)
    return marked if marked <= moment else marked - timedelta(seconds=1)
