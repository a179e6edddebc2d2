"""How the inbox's tables hold times, texts and records."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

LAPSES = timedelta(hours=24)
"""How long an incident stays open, or an identity the same, without an alert."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """How the tables hold a time.

    Raises:
        ValueError: it has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return (moment - _EPOCH) // MICROSECOND


def moment(stored: int) -> datetime:
    """The time for a number of the tables."""
    return _EPOCH + stored * MICROSECOND


def to_text(record: BaseModel) -> str:
    """How the tables hold an alert or a plan; every text survives it."""
    return json.dumps(record.model_dump(mode="json"), separators=(",", ":"))


def plain(text: str) -> str:
    """Text that SQLite can hold, for columns that are only compared."""
    return text.encode("utf-8", "replace").decode()
