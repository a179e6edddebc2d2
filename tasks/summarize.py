"""Task `summarize`: merge what was fetched, and say what is in it."""

from __future__ import annotations

import asyncio

from prefect import get_run_logger, task

from edgecap.archive.journal_records import Intent
from edgecap.captures.derive import Derived, derive_for
from edgecap.captures.fetching import Fetching
from edgecap.captures.order import CaptureOrder
from edgecap.cloudflare.models import Capture
from edgecap.settings import load_settings
from edgecap.stores import open_store
from tasks.runtime.retry import DELAYS, ONCE_A_RUN, TRIES, passing_soon


@task(
    name="summarize",
    task_run_name="summarize",
    persist_result=True,
    cache_policy=ONCE_A_RUN,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing_soon,
)
async def summarize(order: CaptureOrder, intent: Intent, capture: Capture, fetched: Fetching) -> Derived:
    """Merge the files by time, apply the rest of the filter, and summarize the packets.

    Args:
        order: what was asked for.
        intent: the journal's record of the decision.
        capture: with its final status.
        fetched: the files, in the archive already.

    Raises:
        StoreError: the archive cannot be read or written.
    """
    log = get_run_logger()
    store = open_store(load_settings().archive(order.archive))
    derived = await asyncio.to_thread(derive_for, store, capture, fetched.files, intent)
    if derived.residual:
        log.info(
            "%d of %d packets match %s",
            derived.residual.kept,
            derived.residual.packets,
            derived.residual.expression,
        )
    if derived.trouble:
        log.warning("There is no summary: %s", derived.trouble)
    else:
        log.info("%s", derived.verdict)
    return derived
