"""The captures of one schedule: what a new one is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from edgecap.archive.entries import Entry, list_entries
from edgecap.archive.summaries import read_summary
from edgecap.errors import StoreError
from edgecap.packets.summary import Summary
from edgecap.stores.base import Store

_REACH = timedelta(days=40)  # a monthly schedule still has one before it
_LOOKED_AT = 300  # entries; of a schedule that is rarer than that among others, less is found


def earlier(
    store: Store, series: str, request: dict[str, Any], *, before: datetime, most: int
) -> list[tuple[str, Summary]]:
    """Ids and summaries of the captures before one of the same schedule, newest first.

    Those that asked for something else, because the schedule was changed, do not count.

    Args:
        store: the archive.
        series: the schedule's deployment.
        request: what the new one asked for.
        before: when it was submitted, aware.
        most: captures at most.
    """
    try:
        entries = islice(list_entries(store, since=before - _REACH, until=before), _LOOKED_AT)
        return list(islice(_summaries(store, series, _asked(request), entries), most))
    except StoreError:
        return []  # nothing to compare with is no reason to fail


def _summaries(
    store: Store, series: str, asked: dict[str, Any], entries: Iterator[Entry]
) -> Iterator[tuple[str, Summary]]:
    for entry in entries:
        intent = entry.manifest.intent or {}
        if intent.get("series") != series or _asked(entry.manifest.request) != asked:
            continue
        if summary := read_summary(store, entry):
            yield entry.manifest.entry_id, summary


def _asked(request: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name != "offset_time"}
