"""The id of an intent. It is derived from the run, so that a run that is restarted has the same intent."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

_SPACE = uuid.UUID("6d0c5bd6-8a8e-5a3c-9d3e-0d9b3f3a7c11")  # made for this purpose; any constant would do


def intent_id(*parts: str) -> str:
    """32 hex digits that follow from `parts`: a flow run's id, or an incident's id, phase and number.

    Raises:
        ValueError: there are no parts, or one is empty.
    """
    if not parts or not all(parts):
        raise ValueError("an intent's identity needs at least one part, and none of them empty")
    return uuid.uuid5(_SPACE, "\x1f".join(parts)).hex


def fingerprint(moment: datetime, intent: str) -> datetime:
    """`moment` with microseconds that mark the intent, and never later than `moment`.

    The API repeats `offset_time` in its answers, so a simple capture is recognised by the mark even if the
    answer to its POST was lost.
    """
    marked = moment.replace(microsecond=int(intent[:12], 16) % 1_000_000)
    return marked if marked <= moment else marked - timedelta(seconds=1)
