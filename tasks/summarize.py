"""Task `summarize`: merge what was fetched, and say what is in it."""

from __future__ import annotations

import asyncio

from prefect import get_run_logger, task
from prefect.cache_policies import INPUTS, RUN_ID

from edgecap.archive.journal import Journal
from edgecap.captures.derive import Derived, derive_for
from edgecap.captures.fetching import Fetching
from edgecap.cloudflare.models import Capture
from edgecap.settings import load_settings
from edgecap.stores import open_store
from tasks.runtime.retry import DELAYS, TRIES, passing_soon


@task(
    name="summarise",
    task_run_name="summarise",
    persist_result=True,
    cache_policy=INPUTS + RUN_ID,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing_soon,
)
async def summarize(capture: Capture, fetched: Fetching, intent_id: str, archive: str) -> Derived:
    """Merge the files by time, filter what the API could not, count it all, and put the results beside them.

    Args:
        capture: with its final status.
        fetched: the files, in the archive already.
        intent_id: where the journal has the decision.
        archive: name of the archive in the settings.

    Raises:
        StoreError: the archive cannot be read or written.
    """
    log = get_run_logger()
    store = open_store(load_settings().archive(archive))
    record = await asyncio.to_thread(Journal(store).find, intent_id)
    derived = await asyncio.to_thread(
        derive_for, store, capture, fetched.files, record.intent if record else None
    )
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
