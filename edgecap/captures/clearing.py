"""Deleting delivered files from a bucket once the archive holds them: the setting `delete_delivered`.

A delivered file is deleted only if its entry is committed, if every byte of that entry was read back and
matches its manifest, and if the file is still the version that was fetched. Otherwise it stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgecap.archive.entries import Entry
from edgecap.archive.verify import HARMLESS, verify_entry
from edgecap.errors import ConfigError, ObjectMissing, StoreError
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.settings import Settings
from edgecap.stores import open_store
from edgecap.stores.base import Store


@dataclass(frozen=True, slots=True)
class Cleared:
    """How many files were deleted, and why others stay: one line, empty if no file stays."""

    deleted: int = 0
    kept: str = ""

    def __str__(self) -> str:
        """One line for a log or a finding."""
        files = f"{self.deleted} delivered file{'' if self.deleted == 1 else 's'} deleted from the bucket"
        return files + (f"; others stay: {self.kept}" if self.kept else "")


def clear_for(
    request: SimpleRequest | FullRequest, settings: Settings, archive: Store, entry: Entry
) -> Cleared | None:
    """Delete a capture's delivered files, if the settings say so; None if they do not.

    Args:
        request: what was asked for; only a full capture is delivered to a bucket.
        settings: know the bucket.
        archive: where the entry is.
        entry: as committed.
    """
    if not isinstance(request, FullRequest):
        return None
    try:
        place = settings.bucket(request.bucket)
        return clear_delivered(open_store(place), archive, entry) if place.delete_delivered else None
    except ConfigError:
        return None  # the settings do not know the bucket any more


def clear_delivered(bucket: Store, archive: Store, entry: Entry) -> Cleared:
    """Delete the delivered files of an entry. A failure leaves them in the bucket, and is not raised.

    A file could be replaced between the look at its version and its deletion. That is accepted: Cloudflare
    no longer writes to the keys of a capture that is over.

    Args:
        bucket: where Cloudflare delivered them.
        archive: where the entry is.
        entry: as committed.
    """
    deleted, kept = 0, ""
    try:
        problem = next((each for each in verify_entry(archive, entry) if each.kind not in HARMLESS), None)
        if problem:
            return Cleared(kept=f"the entry is not as its manifest says: {problem}")
        for file in entry.manifest.files:
            if file.role != "raw" or not file.source_key:
                continue
            try:
                found = bucket.stat(file.source_key)
            except ObjectMissing:
                continue  # deleted before, by us or by a rule of the bucket
            if (found.size, found.etag) != (file.source_size, file.source_etag or None):
                kept = f"{file.source_key} is not the version that was fetched"
                continue
            bucket.delete(file.source_key)
            deleted += 1
    except StoreError as error:
        kept = str(error)
    return Cleared(deleted, kept)
