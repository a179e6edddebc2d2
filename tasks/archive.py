"""Task `archive`: write the manifest, so that the entry exists, and show what was kept."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import suppress
from datetime import UTC, datetime

from prefect import get_run_logger, task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import INPUTS, RUN_ID
from pydantic import BaseModel

from edgecap.archive.commit import commit
from edgecap.archive.journal import Ended, Journal
from edgecap.archive.manifest import Times, make_manifest
from edgecap.archive.summaries import read_summary
from edgecap.captures.clearing import clear_for
from edgecap.captures.derive import Derived
from edgecap.captures.fetching import Fetching
from edgecap.cloudflare.models import Capture
from edgecap.errors import CaptureFailed, EdgecapError, OutcomeUnknown
from edgecap.report.links import links_to
from edgecap.report.markdown import entry_markdown
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.settings import load_settings
from edgecap.stores import open_store
from tasks.runtime.retry import DELAYS, PASSING, TRIES, passing_soon

_KEY = re.compile(r"[^a-z0-9]+")  # what Prefect does not take in an artifact's key


class EntrySummary(BaseModel):
    """What a run returns: enough to find the entry, and to tell whether it holds what was hoped for."""

    capture_id: str
    where: str
    state: str
    flags: tuple[str, ...] = ()
    files: int
    packets: int
    bytes: int
    verdict: str = ""

    def __str__(self) -> str:
        """One line for the run's state: how much, what it looks like, where it lies."""
        flags = f" ({', '.join(self.flags)})" if self.flags else ""
        files = f"{self.files} file{'' if self.files == 1 else 's'}"
        verdict = f" {self.verdict}" if self.verdict else ""
        return f"{self.packets:,} packets in {files}, {self.state}{flags}.{verdict} {self.where}"


@task(
    name="archive",
    task_run_name="archive",
    persist_result=True,
    cache_policy=INPUTS + RUN_ID,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing_soon,
)
async def archive_entry(
    capture: Capture,
    fetched: Fetching,
    derived: Derived,
    request: SimpleRequest | FullRequest,
    intent_id: str,
    archive: str,
    times: Times,
) -> EntrySummary:
    """Commit the entry and leave an artifact that says what is in it.

    Args:
        capture: with its final status.
        fetched: the files, in the archive already.
        derived: what was made of them, likewise.
        request: what was asked for.
        intent_id: where the journal has the decision.
        archive: name of the archive in the settings.
        times: when it ended and when its files had been fetched.

    Raises:
        ObjectExists: the capture has an entry already, with other packets.
        StoreError: the archive cannot be written.
    """
    settings = load_settings()
    store = open_store(settings.archive(archive))
    record = await asyncio.to_thread(Journal(store).find, intent_id)
    intent = record.intent if record else None
    manifest = make_manifest(
        capture,
        [*fetched.files, *derived.files],
        times=times.model_copy(update={"decided": intent.decided if intent else None}),
        request=intent.request if intent else request,
        intent=intent,
        missing=fetched.missing,
        too_large=bool(fetched.left),
        residual=derived.residual,
        trouble=derived.trouble,
    )
    entry = await asyncio.to_thread(commit, store, manifest)
    # Before the intent ends: a run that dies here is finished by `reconcile`, which does this, too.
    if cleared := await asyncio.to_thread(clear_for, request, settings, store, entry):
        get_run_logger().log(logging.WARNING if cleared.kept else logging.INFO, "%s", cleared)
    if intent:
        ended = Ended(outcome="archived", reason=entry.where, entry=entry.prefix, at=datetime.now(UTC))
        await asyncio.to_thread(Journal(store).end, intent_id, ended)
    summary = await asyncio.to_thread(read_summary, store, entry)
    await acreate_markdown_artifact(
        entry_markdown(entry, summary, title=str(request), links=links_to(settings.receiver.report_url)),
        key=f"entry-{_KEY.sub('-', capture.id.lower())[:12]}",
        description=summary.verdict if summary else str(request),
    )
    get_run_logger().info("Archived %d packets at %s", entry.manifest.totals.packets, entry.where)
    return EntrySummary(
        capture_id=capture.id,
        where=entry.where,
        state=entry.manifest.state,
        flags=entry.manifest.flags,
        files=entry.manifest.totals.files,
        packets=entry.manifest.totals.packets,
        bytes=entry.manifest.totals.size,
        verdict=summary.verdict if summary else entry.manifest.trouble,
    )


async def close_intent(intent_id: str, archive: str, error: EdgecapError) -> None:
    """Write down that an intent is over, if its run's failure settles that; else it is left to `reconcile`.

    A capture that ended without packets is over, and so is a request that was refused for good. What failed
    for another reason after it was accepted, or may have been, can still be brought in.
    """
    with suppress(EdgecapError):  # the run fails for the reason that it has, not for this
        journal = Journal(open_store(load_settings().archive(archive)))
        record = await asyncio.to_thread(journal.follow, intent_id)
        if record is None or record.ended or isinstance(error, (*PASSING, OutcomeUnknown)):
            return
        if record.accepted and not isinstance(error, CaptureFailed):
            return
        if not record.accepted and record.unsettled:
            return  # whatever the run failed with, its POST may have started a capture
        ended = Ended(
            outcome="failed" if record.accepted else "never-accepted",
            reason=str(error),
            error=type(error).__name__,
            at=datetime.now(UTC),
        )
        await asyncio.to_thread(journal.end, record.intent.intent_id, ended)
