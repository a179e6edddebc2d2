"""The earlier captures of a schedule, with which a new one is compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from edgecap.archive.entries import Entry
from edgecap.archive.same_request import places, read
from edgecap.archive.summaries import read_summary
from edgecap.errors import StoreError
from edgecap.packets.summary import Summary
from edgecap.stores.base import Store

_LOOKED_AT = 100  # entries of the same request, which people and other schedules may ask for, too


def earlier(
    store: Store, series: str, request: dict[str, Any], *, before: datetime, most: int
) -> list[tuple[str, Summary]]:
    """Ids and summaries of the captures before one of the same schedule, newest first.

    Captures that asked for something else, because the schedule was changed, do not count.

    Args:
        store: the archive.
        series: the schedule's deployment.
        request: what the new one asked for.
        before: when it was submitted, aware.
        most: captures at most.
    """
    found: list[tuple[str, Summary]] = []
    # An entry that cannot be read must not fail the new one, nor hide the entries that were read.
    with suppress(StoreError):
        entries = read(store, places(store, request, before=before, most=_LOOKED_AT)[:_LOOKED_AT], request)
        for each in _summaries(store, series, _asked(request), entries):
            found.append(each)
            if len(found) == most:
                break
    return found


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
    # A field that is left out and one that is empty ask for the same.
    return {
        name: value for name, value in request.items() if name != "offset_time" and value not in ("", None)
    }
