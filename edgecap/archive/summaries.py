"""Reading the summaries of entries. An entry may have none, or one that cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecap.archive.entries import Entry
from edgecap.archive.text import read_json
from edgecap.errors import Damaged, ObjectMissing
from edgecap.stores.base import Store

if TYPE_CHECKING:
    from edgecap.packets.summary import Summary

ROLE = "summary"
NO_SUMMARY = (
    "This capture has no summary: it is older than summaries, or its packets could not be read. "
    "What follows is from its manifest."
)


def read_summary(store: Store, entry: Entry) -> Summary | None:
    """The summary of an entry; None if it has none, or one that cannot be read.

    Raises:
        StoreError: the store does not answer, or refuses access.
    """
    return find_summary(store, entry)[0]


def read_verdict(store: Store, entry: Entry) -> str:
    """The verdict of an entry; empty if it has no summary. Manifests of older versions do not have it.

    Raises:
        StoreError: the store does not answer, or refuses access.
    """
    if entry.manifest.verdict:
        return entry.manifest.verdict
    summary = read_summary(store, entry)
    return summary.verdict if summary else ""


def find_summary(store: Store, entry: Entry) -> tuple[Summary | None, str]:
    """The summary of an entry, or None and the reason.

    Raises:
        StoreError: the store does not answer, or refuses access.
    """
    from edgecap.packets.summary import Summary  # noqa: PLC0415 - `list` does without, and it takes long

    name = next((file.name for file in entry.manifest.files if file.role == ROLE), "")
    if not name:
        return None, _why(entry)
    try:
        return read_json(store, entry.prefix + name, Summary), ""
    except ObjectMissing:
        return None, f"The summary, {name}, is missing from the archive. What follows is from the manifest."
    except Damaged as error:
        return None, f"The summary cannot be read ({error.what}). What follows is from the manifest."


def _why(entry: Entry) -> str:
    trouble = entry.manifest.trouble
    return f"This capture has no summary: {trouble}" if trouble else NO_SUMMARY
