"""Task `settle`: finish or clean what was left behind, for one account and one archive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from edgecap.cloudflare.client import Client
from edgecap.reconcile import Adopt, Limits, Reconciled, Reconciler
from edgecap.settings import load_settings
from edgecap.stores import open_store
from tasks.line import Queue
from tasks.retrying import DELAYS, TRIES, passing
from tasks.runs import life_of

STOP_WAIT = timedelta(
    minutes=2
)  # for a stopped capture to be converted; what takes longer is the next time's


@task(
    name="settle",
    task_run_name="settle {account} in {archive}",
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing,
)
async def settle(account: str, archive: str, adopt: Adopt) -> Reconciled:
    """Look at what the journal, the API and the archive hold, and make them agree.

    Args:
        account: name of the account in the settings.
        archive: name of the archive in the settings.
        adopt: `ours` brings in what edgecap started, `all` also what people started by themselves.

    Raises:
        ConfigError: one of them is not in the settings.
    """
    settings = load_settings()
    sign_in = settings.account(account)
    store = open_store(settings.archive(archive))
    async with Client(sign_in) as client:
        found = await Reconciler(
            client, store, settings, life_of, account=account, adopt=adopt, limits=Limits(stop_wait=STOP_WAIT)
        ).run()
    log = get_run_logger()
    for finding in found.findings:
        log.info("%s", finding)
    if found.findings:
        # What was stopped or given up may have freed the lane long before anybody expects it.
        patience = timedelta(seconds=settings.timing.urgent_after)
        await Queue("full", sign_in.lanes).call_next(at=datetime.now(UTC), patience=patience)
    return found
