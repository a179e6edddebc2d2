"""Flow `respond_to`: decide about an alert as its product sent it, without edgecap's receiver."""

# No `from __future__ import annotations`: Prefect makes the form of the UI from the real types.
import asyncio
from datetime import UTC, datetime

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run as this_run
from prefect.states import Completed, Failed
from pydantic import AwareDatetime

from edgecap.alerts.model import Alert
from edgecap.alerts.policy.decision import Plan, load_policy
from edgecap.alerts.sources.registry import source_called
from edgecap.alerts.understanding import understand
from edgecap.errors import EdgecapError
from edgecap.settings import DEFAULT, load_settings
from tasks.enter_alert import enter_alert
from tasks.runtime.compat import scheduled_time
from tasks.runtime.prefect_away import crashed
from tasks.runtime.recovery import record_process
from tasks.runtime.retry import PREFECT_AWAY


def _name() -> str:
    """Such as `alert from cloudflare`."""
    return f"alert from {this_run.parameters.get('source')}"


@flow(name="respond-to", flow_run_name=_name, persist_result=True, retries=0)
async def respond_to(
    source: str,
    payload: str,
    received: AwareDatetime | None = None,
    account: str = DEFAULT,
    archive: str = DEFAULT,
) -> State[str]:
    """Decide about an alert by the policy, and start the flow respond if it calls for captures.

    This is for Prefect Cloud, whose webhook authenticates the sender and hands over the payload. It is not
    needed with edgecap's own receiver, which decides by itself, sooner, and also keeps cooldowns and budgets.

    Args:
        source: The product that sent it, such as cloudflare, or a source of your own in the settings
        payload: The body as the product sent it: JSON as text
        received: When it arrived; if not given, the time at which this run was to start
        account: Name of the Cloudflare account in the settings
        archive: Name of the archive in the settings
    """
    try:
        await record_process(this_run.id)
        taken = await asyncio.to_thread(_understand, source, payload, received or _due())
        told = [f"{alert}: {await enter_alert(alert, plan, account, archive)}" for alert, plan in taken]
    except PREFECT_AWAY as error:
        return crashed(error)
    except EdgecapError as error:
        # Raised, the message would begin with Prefect's own words.
        return Failed(message=str(error), data=error)
    message = "; ".join(told) or "a test message, which starts nothing"
    return Completed(message=message, data=message)


def _understand(source: str, payload: str, received: datetime) -> list[tuple[Alert, Plan]]:
    settings = load_settings()
    return understand(
        source_called(source, settings.alerts),
        payload.encode("utf-8", "replace"),
        load_policy(settings.receiver.policy, settings.bounds, settings.alerts.names),
        received=received,
        now=datetime.now(UTC),
        bounds=settings.bounds,
    )


def _due() -> datetime:
    """When the run was to start: the same time if it is taken up again."""
    return scheduled_time() or datetime.now(UTC)
