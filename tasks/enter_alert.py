"""Tasks of the flow `respond_to`: enter an alert into the archive, and have `respond` run for it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType

from edgecap.alerts.model import Alert, derive
from edgecap.alerts.policy.decision import Plan
from edgecap.incidents.record import IncidentEvent, Incidents
from edgecap.incidents.without_inbox import enter
from edgecap.settings import load_settings
from edgecap.stores import open_store
from tasks.outcomes import tag_of
from tasks.runtime.lane_queue import ALERT
from tasks.runtime.retry import DELAYS, TRIES, passing
from tasks.runtime.warm_runner import tell

DEPLOYMENT = "respond/alert"


@task(
    name="order",
    task_run_name="order {alert}",
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing,
)
async def order(alert: Alert, plan: Plan, account: str, archive: str) -> str:
    """Have an alert's incident begin or end, if it is news; the same alert again changes nothing.

    Args:
        alert: what arrived.
        plan: what was decided about it.
        account: name of the account in the settings.
        archive: name of the archive in the settings.

    Returns:
        What it came to, in a few words.
    """
    incidents = Incidents(open_store(load_settings().archive(archive)))
    entered = await asyncio.to_thread(enter, incidents, alert, plan, account=account, at=datetime.now(UTC))
    get_run_logger().info("%s: %s", alert, entered)
    if entered.noted:
        # Also for what was known: whoever entered it may have died before the run was made.
        await _start(entered.noted, alert, archive)
    return str(entered)


async def _start(noted: IncidentEvent, alert: Alert, archive: str) -> None:
    """Make the run of `respond`, once, and have it taken up at once."""
    event = "end" if alert.event == "end" else "start"
    async with get_client() as client:
        deployment = await client.read_deployment_by_name(DEPLOYMENT)
        run = await client.create_flow_run_from_deployment(
            deployment.id,
            parameters={
                "incident": noted.incident,
                "event": event,
                "alert": noted.alert,
                "plan": noted.plan.model_dump(mode="json"),
                "account": noted.account,
                "archive": archive,
            },
            tags=[ALERT, tag_of(noted.incident)],
            state=State[None](type=StateType.SCHEDULED),
            idempotency_key=derive(noted.incident, event),
        )
    await tell(run.id)
