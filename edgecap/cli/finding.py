"""Find an entry or an incident by its id; an id of the other kind gives an error that says what takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecap.archive.entries import Entry, find_entry
from edgecap.errors import EntryMissing
from edgecap.stores import Store

if TYPE_CHECKING:
    from edgecap.incidents.overview import Overview, Overviews


def find_either(store: Store, known: Overviews, wanted: str) -> Entry | Overview:
    """The entry or incident with this id, or whose id begins so.

    Raises:
        EntryMissing: there is none, or more than one.
        Damaged: its record cannot be read.
        StoreError: the archive cannot be read.
    """
    beginning = wanted.strip().lower()
    incidents = known.ids(beginning) if beginning.isalnum() else []
    if incidents == [beginning]:
        return known.find(beginning)  # no need to search the whole archive for a capture of that id
    try:
        entry = find_entry(store, wanted)
    except EntryMissing:
        if incidents:
            return known.find(wanted)
        if not beginning.isalnum():
            raise
        raise EntryMissing(
            f"there is no entry or incident {wanted!r}, or several entries begin with it",
            where=store.uri,
            hint="`edgecap list` and `edgecap incident list` show all ids",
        ) from None
    if incidents and entry.manifest.entry_id != wanted.strip():
        raise EntryMissing(
            f"a capture, {entry.manifest.entry_id}, and an incident, {incidents[0]}, begin with {wanted!r}",
            hint="give more of the id",
        )
    return entry


def find_only_entry(store: Store, archive: str, wanted: str) -> Entry:
    """The entry with this id, path or beginning of an id.

    Args:
        store: the archive.
        archive: its name in the settings.
        wanted: what a person typed.

    Raises:
        EntryMissing: there is none, or more than one. If it is an incident's id, the error says so.
        Damaged: its manifest cannot be read.
        StoreError: the archive cannot be read.
    """
    try:
        return find_entry(store, wanted)
    except EntryMissing:
        from edgecap.cli.incident import overviews  # noqa: PLC0415 - takes a sixth of `edgecap show`'s time

        beginning = wanted.strip().lower()
        with overviews(archive) as known:
            incidents = known.ids(beginning) if beginning.isalnum() else []
        if not incidents:
            raise
        short = incidents[0][:8]
        raise EntryMissing(
            f"{wanted!r} is an incident, not a capture",
            hint=f"`edgecap incident show {short}` shows it and the ids of its captures; "
            f"`edgecap get {short}` and `edgecap report {short}` take it",
        ) from None
