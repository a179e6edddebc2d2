"""Earlier captures that asked for the same, found without reading the manifests of all others.

::

    same-request/<digest of what was asked for>/<year>/<month>/<folder of the entry>

Each is a hint: it says where an entry may be, and proves nothing. The entry is there if its manifest is, and
it asked for the same if its manifest says so. A hint is written just before the manifest, so every new entry
has one. Captures of older versions have none: if a request has no hint at all, the newest manifests are read,
and those that asked for the same get theirs. So the whole folder may be deleted.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from edgecap.archive.entries import Entry, list_entries, read_entry
from edgecap.archive.layout import EntryPlace, parse_prefix, place_of_hint, same_request_prefix
from edgecap.archive.manifest import Manifest
from edgecap.errors import Damaged, EntryMissing, ObjectExists, StoreError
from edgecap.stores.base import Store

_log = logging.getLogger(__name__)
REACH = timedelta(days=40)  # a monthly schedule still has one before it
_LOOKED_AT = 60  # manifests that are read if there are no hints
_ATTEMPTS = 2  # to read a manifest
_NOT_COMPARED = frozenset({"offset_time", "time_limit", "packet_limit", "byte_limit", "bucket"})


def asked(request: dict[str, Any]) -> dict[str, Any]:
    """What a request asked for: type, place and filter. How long and how much does not matter."""
    # A field that is left out and one that is empty ask for the same.
    return {
        name: _without_empty(value)
        for name, value in request.items()
        if name not in _NOT_COMPARED and _without_empty(value) not in ("", None, {})
    }


def note(store: Store, manifest: Manifest) -> None:
    """Leave a hint to an entry. That it cannot be written costs only the hint."""
    place = parse_prefix(manifest.prefix)
    if place is None or not asked(manifest.request):
        return
    folder = manifest.prefix.rstrip("/").rpartition("/")[2]
    key = f"{same_request_prefix(_digest(manifest.request), place.submitted)}{folder}"
    try:
        store.put(key, f"{manifest.prefix}\n".encode())
    except ObjectExists:
        pass
    except StoreError as error:
        _log.warning("%s will not be found as a baseline: %s", manifest.prefix, error)


def places(store: Store, request: dict[str, Any], *, before: datetime, most: int) -> list[EntryPlace]:
    """Where captures of the same request may be, newest first.

    Args:
        store: the archive.
        request: what is asked for.
        before: only those submitted earlier, aware.
        most: how many are wanted; there may be more.

    Raises:
        StoreError: the archive cannot be listed.
    """
    since, before = (before - REACH).replace(microsecond=0), before.replace(microsecond=0)
    digest, days = (
        _digest(request),
        [before.astimezone(UTC) - timedelta(days=at) for at in range(REACH.days + 1)],
    )
    # A schedule of every minute has 43,200 in a month: the last two days have enough of them.
    latest = [f"{same_request_prefix(digest, day)}{day:%Y-%m-%d}" for day in days[:2]]
    found = _listed(store, latest)
    if len(found) < most:
        found = _listed(store, sorted({same_request_prefix(digest, day) for day in days}))
    if not found:
        old = _without_hints(store, request, before=before)
        found = [place for each in old if (place := parse_prefix(each.prefix))]
    within = [each for each in found if since <= each.submitted < before]
    return sorted(within, key=lambda each: (each.submitted, each.prefix), reverse=True)


def read(store: Store, found: list[EntryPlace], request: dict[str, Any]) -> Iterator[Entry]:
    """The entries that are there, and asked for the same.

    Raises:
        StoreError: the archive does not answer.
    """
    wanted = asked(request)
    for place in found:
        with suppress(EntryMissing, Damaged):
            entry = read_entry(store, place.prefix, attempts=_ATTEMPTS)
            if asked(entry.manifest.request) == wanted:
                yield entry


def _without_hints(store: Store, request: dict[str, Any], *, before: datetime) -> Iterator[Entry]:
    """Such captures among the newest entries; each gets its hint."""
    wanted = asked(request)
    entries = list_entries(
        store,
        since=before - REACH,
        until=before,
        type=str(request.get("type") or "") or None,
        colo=str(request.get("colo") or ""),
    )
    with suppress(StoreError):  # an entry that cannot be read must not hide those that were read
        for entry in islice(entries, _LOOKED_AT):
            if asked(entry.manifest.request) == wanted:
                note(store, entry.manifest)
                yield entry


def _listed(store: Store, prefixes: list[str]) -> list[EntryPlace]:
    return [place for prefix in prefixes for info in store.list(prefix) if (place := place_of_hint(info.key))]


def _digest(request: dict[str, Any]) -> str:
    text = json.dumps(asked(request), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: each for name, each in value.items() if each not in ("", None)}
    return value
