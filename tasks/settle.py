"""Task `settle`: finish or remove what runs left behind, for one account and one archive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType

from edgecap.captures.admission import AdmissionRules
from edgecap.captures.lanes import Kind
from edgecap.captures.stopping import Stopping
from edgecap.cloudflare.client import Client
from edgecap.errors import EdgecapError
from edgecap.reconcile import Adopt, Limits, Reconciled, Reconciler
from edgecap.settings import Account, Timing, load_settings
from edgecap.stores import open_store
from tasks.runtime.cancelled import Cancelled, stop_once
from tasks.runtime.find_runs import find_runs, in_state
from tasks.runtime.lane_queue import Queue
from tasks.runtime.recovery import read_life
from tasks.runtime.retry import DELAYS, TRIES, passing

STOP_WAIT = timedelta(minutes=2)  # for a stopped capture to be converted; else the next reconcile takes it

CANCELLED_SINCE = timedelta(minutes=30)  # runs that were cancelled earlier are found by the journal


@task(
    name="stop cancelled",
    task_run_name="stop the captures of cancelled runs",
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing,
)
async def stop_cancelled() -> None:
    """Stop the full captures of runs that were cancelled in the last half hour, or are being cancelled.

    One attempt each. A capture that cannot be stopped now is stopped when its intent is settled, or by the
    next reconcile.
    """
    log = get_run_logger()
    for cancelled in await _cancelled(datetime.now(UTC) - CANCELLED_SINCE):
        try:
            stopped = await stop_once(cancelled)
        except EdgecapError as error:
            log.warning("Run %s is cancelled, and its capture may go on: %s", cancelled.run_id, error)
        else:
            if stopped.outcome is Stopping.ASKED:
                log.info("Run %s is cancelled: %s", cancelled.run_id, stopped)


async def _cancelled(since: datetime) -> list[Cancelled]:
    """The runs for full captures that are being cancelled, and those that were cancelled since then."""
    async with get_client() as client:
        found = await find_runs(client, flows=["capture"], state=in_state(StateType.CANCELLING))
        found += await find_runs(
            client, flows=["capture"], state=in_state(StateType.CANCELLED), end_time={"after_": since}
        )
    return [cancelled for run in found if (cancelled := Cancelled.of(run.model_dump(mode="json")))]


@task(
    name="settle",
    task_run_name="settle {account} in {archive}",
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing,
)
async def settle(account: str, archive: str, adopt: Adopt) -> Reconciled:
    """Compare the journal, the API and the archive, and finish what dead runs left.

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
            client,
            store,
            settings,
            read_life,
            account=account,
            adopt=adopt,
            limits=Limits(stop_wait=STOP_WAIT),
        ).run()
    log = get_run_logger()
    for finding in found.findings:
        log.info("%s", finding)
    kinds: tuple[Kind, Kind] = ("simple", "full")
    for kind in kinds:
        # Runs that would have called the next ones may have died or been cancelled, and a capture that was
        # stopped or given up frees its lane early.
        await _call(Queue(kind, sign_in.lanes), kind, sign_in, settings.timing)
    return found


async def _call(queue: Queue, kind: Kind, sign_in: Account, timing: Timing) -> None:
    """Call the next runs in line, if any wait, for the time when the lane is free."""
    order = await queue.order(timing)
    if not order:
        return
    async with Client(sign_in) as client:
        listing = await client.list_captures()
        clock = timing.server_clock(client.server_now)
        rules = AdmissionRules(timing, clock, lambda: datetime.now(UTC))
        turn = rules.next_turn(kind, listing.captures, now=listing.server_time)
        at = datetime.now(UTC) + max(timedelta(), clock.until_shown(turn.expected))
        await queue.call(order, at=at, clock=clock, timing=timing)
