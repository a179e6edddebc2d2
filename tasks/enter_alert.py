"""Tasks of the flow `respond_to`: enter an alert into the archive, and have `respond` run for it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import Scheduled

from edgecap.alerts.model import Alert, derive
from edgecap.alerts.policy.decision import Plan
from edgecap.alerts.words import words_of_run
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.record import IncidentEvent
from edgecap.incidents.without_inbox import enter
from edgecap.settings import load_settings
from edgecap.stores import open_store
from tasks.runtime.alert_runs import respond_run
from tasks.runtime.deployment_names import RESPOND
from tasks.runtime.find_runs import find_deployment
from tasks.runtime.retry import DELAYS, TRIES, passing
from tasks.runtime.starting import start_now
from tasks.runtime.warm_runner import due


@task(
    name="enter alert",
    task_run_name="enter {alert}",
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing,
)
async def enter_alert(alert: Alert, plan: Plan, account: str, archive: str) -> str:
    """Begin or end an alert's incident. The same alert again changes nothing.

    Args:
        alert: the alert that arrived.
        plan: the policy's decision about it.
        account: name of the account in the settings.
        archive: name of the archive in the settings.

    Returns:
        What was done, in a few words.
    """
    incidents = Incidents(open_store(load_settings().archive(archive)))
    entered = await asyncio.to_thread(enter, incidents, alert, plan, account=account, at=datetime.now(UTC))
    get_run_logger().info("%s: %s", alert, entered)
    if entered.noted:
        # Also for what was known: the run that entered it may have died before it started this one.
        await start_respond(entered.noted, "end" if alert.event == "end" else "start", archive)
    return str(entered)


async def start_respond(noted: IncidentEvent, event: str, archive: str) -> None:
    """Make the run of `respond`, once, and tell the warm process of it.

    Args:
        noted: the alert and its plan.
        event: `start` or `end`.
        archive: name of the archive in the settings.
    """
    run = respond_run(
        incident=noted.incident,
        event=event,
        alert=noted.alert,
        words=words_of_run(noted.parsed, event) if noted.parsed else noted.alert_briefly,
        plan=noted.plan,
        account=noted.account,
        archive=archive,
        key=derive(noted.incident, event),
    )
    async with get_client() as client:
        deployment = await find_deployment(client, RESPOND)
        state: State[None] = Scheduled(scheduled_time=due())
        made = await client.create_flow_run_from_deployment(deployment.id, **run, state=state)
        await start_now(client, made)
