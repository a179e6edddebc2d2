"""Task `archive`: make the entry, end the intent, and show what was kept."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import suppress

from prefect import get_run_logger, task
from prefect.artifacts import acreate_markdown_artifact
from pydantic import BaseModel

from edgecap.archive.journal_records import Intent
from edgecap.archive.summaries import read_summary
from edgecap.captures.derive import Derived
from edgecap.captures.fetching import Fetching
from edgecap.captures.keep import close, close_failed, keep
from edgecap.captures.order import CaptureOrder
from edgecap.errors import EdgecapError
from edgecap.report.links import links_to
from edgecap.report.markdown import entry_markdown
from edgecap.settings import load_settings
from edgecap.stores import open_store
from edgecap.units import plural
from tasks.poll import FinalCapture
from tasks.runtime.retry import DELAYS, ONCE_A_RUN, TRIES, passing_soon

_KEY = re.compile(r"[^a-z0-9]+")  # what Prefect does not take in an artifact's key


class EntrySummary(BaseModel):
    """The result of a run: where the entry is, and how much it holds."""

    capture_id: str
    where: str
    state: str
    flags: tuple[str, ...] = ()
    files: int
    packets: int
    bytes: int
    verdict: str = ""

    def __str__(self) -> str:
        """One line for the run's state: how much, the verdict, and where the entry is."""
        told = [flag for flag in self.flags if flag != self.state]
        flags = f" ({', '.join(told)})" if told else ""
        if self.state == "empty":
            causes = f"`edgecap show {self.capture_id[:8]}` and this run's artifact say the likely causes"
            return f"No packets{flags}: {causes}. {self.where}"
        verdict = f" {self.verdict}" if self.verdict else ""
        held = f"{plural(self.packets, 'packet')} in {plural(self.files, 'file')}"
        return f"{held}, {self.state}{flags}.{verdict} {self.where}"


def artifact_key(capture_id: str) -> str:
    """The key of the artifact about a capture's entry."""
    return f"entry-{_KEY.sub('-', capture_id.lower())[:12]}"


def artifact_page(capture_id: str) -> str:
    """The path of that artifact's page in Prefect's UI; a link in another artifact leads there."""
    return f"/v2/artifacts/key/{artifact_key(capture_id)}"


@task(
    name="archive",
    task_run_name="archive",
    persist_result=True,
    cache_policy=ONCE_A_RUN,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing_soon,
)
async def archive_entry(
    order: CaptureOrder, intent: Intent, ended: FinalCapture, fetched: Fetching, derived: Derived
) -> EntrySummary:
    """Write the manifest, so that the entry exists, and show what was kept.

    Args:
        order: what was asked for.
        intent: the journal's record of the decision.
        ended: the capture with its final status.
        fetched: the files, in the archive already.
        derived: the files that were made of them, in the archive already.

    Raises:
        ObjectExists: the capture has an entry already, with other packets.
        StoreError: the archive cannot be written.
    """
    settings = load_settings()
    store = open_store(settings.archive(order.archive))
    entry = await asyncio.to_thread(
        keep, store, ended.capture, fetched, intent, derived=derived, final=ended.at
    )
    if cleared := await asyncio.to_thread(close, store, settings, intent, entry):
        get_run_logger().log(logging.WARNING if cleared.kept else logging.INFO, "%s", cleared)
    summary = await asyncio.to_thread(read_summary, store, entry)
    await acreate_markdown_artifact(
        entry_markdown(
            entry, summary, title=str(order.request), links=links_to(settings.receiver.report_url)
        ),
        key=artifact_key(ended.capture.id),
        description=summary.verdict if summary else str(order.request),
    )
    get_run_logger().info("Archived %s: %s", plural(entry.manifest.totals.packets, "packet"), entry.path)
    return EntrySummary(
        capture_id=ended.capture.id,
        where=entry.where,
        state=entry.manifest.shown_state,
        flags=entry.manifest.flags,
        files=entry.manifest.totals.files,
        packets=entry.manifest.totals.packets,
        bytes=entry.manifest.totals.size,
        verdict=summary.verdict if summary else entry.manifest.trouble,
    )


async def close_intent(order: CaptureOrder, error: EdgecapError) -> None:
    """End the intent of a run that failed, if its error is final."""
    with suppress(EdgecapError):  # the run's own error counts, not this one
        store = open_store(load_settings().archive(order.archive))
        await asyncio.to_thread(close_failed, store, order.intent_id, error)
