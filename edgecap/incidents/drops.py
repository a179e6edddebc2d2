"""What the edge dropped of an incident's packets: records, one for each time that it was asked for.

It is asked for when the incident is closed, and again when Cloudflare's rows have settled: Logpush's come
about a minute late, those of GraphQL may come later, and may be written anew ten hours after.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import PurePosixPath
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from edgecap.analytics.dropped import Dropped
from edgecap.archive.layout import dropped_prefix
from edgecap.archive.text import read_json, to_json
from edgecap.errors import ObjectExists
from edgecap.stores.base import Store

Round = Literal["closing", "after-15-min", "after-12-h"]
LATER: dict[Round, timedelta] = {
    "after-15-min": timedelta(minutes=15),
    "after-12-h": timedelta(hours=12),
}
"""How long after the closing it is asked for again."""
_ROUNDS: tuple[Round, ...] = ("closing", *LATER)
PACKETS = "dropped.pcapng"
"""The name of the file of packets outside the archive."""


class Drops(BaseModel):
    """What was known at one time."""

    model_config = ConfigDict(extra="allow", frozen=True)

    incident: str
    round: Round
    at: AwareDatetime
    analytics: Dropped | None = Field(None, description="From Cloudflare's GraphQL API")
    logpush: Dropped | None = Field(None, description="From Logpush's rows in a bucket")
    problems: tuple[str, ...] = Field((), description="Why a source told nothing, a line each")
    refused: bool = Field(
        False,
        description="The credentials may not read Network Analytics, and no rows were found: asking "
        "again later is of no use",
    )

    @property
    def best(self) -> Dropped | None:
        """The source with more samples; None if none told anything."""
        found = [each for each in (self.logpush, self.analytics) if each]
        return max(found, key=lambda each: each.samples or 0, default=None)

    @property
    def packets_key(self) -> str:
        """Where the file of packets lies in the archive; empty if there is none."""
        return self.logpush.packets.key if self.logpush and self.logpush.packets else ""


def record_key(incident_id: str, asked: Round) -> str:
    """Where a record lies."""
    return f"{dropped_prefix(incident_id)}{asked}.json"


def keep_drops(store: Store, drops: Drops) -> Drops:
    """Write a record. The first one of a round stands.

    Raises:
        StoreError: it cannot be written.
    """
    key = record_key(drops.incident, drops.round)
    try:
        store.put(key, to_json(drops))
    except ObjectExists:
        return read_json(store, key, Drops)
    return drops


def read_drops(store: Store, incident_id: str) -> tuple[Drops, ...]:
    """All records of an incident, the first one first.

    Raises:
        Damaged: a record cannot be read.
        StoreError: the archive cannot be.
    """
    names = {PurePosixPath(info.key).name for info in store.list(dropped_prefix(incident_id))}
    return tuple(
        read_json(store, record_key(incident_id, each), Drops) for each in _ROUNDS if f"{each}.json" in names
    )


def newest(drops: tuple[Drops, ...]) -> Drops | None:
    """The last record that tells something; None if none does."""
    return next((each for each in reversed(drops) if each.best), None)
