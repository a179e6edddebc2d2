"""Keeping a capture: from fetched files to an entry, and to the end of its intent.

Runs and `reconcile` take this one path, and may take it for the same capture at the same time: doing a step
again changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from edgecap.archive.commit import commit
from edgecap.archive.entries import Entry
from edgecap.archive.journal import Journal
from edgecap.archive.journal_records import Ended, Intent
from edgecap.archive.manifest import Times, make_manifest
from edgecap.captures.clearing import Cleared, clear_for
from edgecap.captures.derive import Derived, derive_for
from edgecap.captures.fetching import Fetching
from edgecap.captures.outages import AWAY
from edgecap.cloudflare.models import Capture
from edgecap.errors import CaptureFailed, EdgecapError, ObjectChanged, OutcomeUnknown
from edgecap.settings import Settings
from edgecap.stores.base import Store

Outcome = Literal["archived", "cancelled"]
"""How an intent ends whose packets are kept."""


def keep(
    archive: Store,
    capture: Capture,
    fetched: Fetching,
    intent: Intent | None,
    *,
    derived: Derived | None = None,
    final: datetime | None = None,
) -> Entry:
    """Make an entry of what was fetched of a capture.

    Args:
        archive: where the files lie.
        capture: with its final status.
        fetched: its files.
        intent: the journal's record; None for a capture that is not ours.
        derived: what was made of the files, if that is done already.
        final: when the capture was seen to be over, on the server's clock, if that is known.

    Raises:
        ObjectExists: the capture has an entry already, with other packets.
        StoreError: the archive cannot be read or written.
    """
    made = derived or derive_for(archive, capture, fetched.files, intent)
    manifest = make_manifest(
        capture,
        [*fetched.files, *made.files],
        times=Times(decided=intent.decided if intent else None, final=final, fetched=fetched.at),
        request=intent.request if intent else None,
        intent=intent,
        missing=fetched.missing,
        too_large=bool(fetched.left),
        residual=made.residual,
        verdict=made.verdict,
        trouble=made.trouble,
    )
    return commit(archive, manifest)


def close(
    archive: Store,
    settings: Settings,
    intent: Intent,
    entry: Entry,
    *,
    outcome: Outcome = "archived",
    clear: bool = True,
) -> Cleared | None:
    """End an intent whose packets are kept; before that, delete the delivered files if the settings say so.

    In this order, so that `reconcile` deletes them if the run dies in between. An ending that was journalled
    before stands.

    Args:
        archive: where the entry and the journal are.
        settings: know the bucket.
        intent: the journal's record.
        entry: as committed.
        outcome: how the intent ends.
        clear: whether delivered files may be deleted.

    Returns:
        What was deleted; None if nothing was to be.

    Raises:
        StoreError: the journal cannot be written.
    """
    cleared = clear_for(intent.request, settings, archive, entry) if clear else None
    ended = Ended(
        outcome=outcome, reason=str(entry.manifest.totals), entry=entry.prefix, at=datetime.now(UTC)
    )
    Journal(archive).end(intent.intent_id, ended)
    return cleared


def close_failed(archive: Store, intent_id: str, error: EdgecapError) -> None:
    """End the intent of a run that failed, if its error is final; else the intent is left to `reconcile`.

    A capture that ended without packets is over, and so is a request that was refused for good. After any
    other error of a capture that was accepted, or may have been, its packets can still be imported.

    Args:
        archive: where the journal is.
        intent_id: the intent's; the last one that repeats it counts.
        error: what the run failed with.

    Raises:
        StoreError: the journal cannot be read or written.
    """
    journal = Journal(archive)
    record = journal.follow(intent_id)
    if record is None or record.ended or isinstance(error, (*AWAY, ObjectChanged, OutcomeUnknown)):
        return
    if record.accepted and not isinstance(error, CaptureFailed):
        return
    if not record.accepted and record.unsettled:
        return  # its POST may have started a capture, whatever its error is
    ended = Ended(
        outcome="failed" if record.accepted else "never-accepted",
        reason=str(error),
        error=type(error).__name__,
        at=datetime.now(UTC),
    )
    journal.end(record.intent.intent_id, ended)
