"""Flow `tell`: tell people, through every channel, of alerts that led to no capture."""

# No `from __future__ import annotations`: Prefect makes the form of the UI from the real types.
import asyncio
from collections.abc import Awaitable
from typing import cast

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from edgecap.settings import load_settings
from edgecap.units import plural
from tasks.incident_notice import notify_of_alerts


@flow(name="tell", flow_run_name="{subject}", persist_result=True, retries=0)
async def tell(subject: str, page: str) -> State[str]:
    """Tell people of alerts that were refused, put aside, or not captured.

    The receiver of alerts starts this flow, at most once in ten minutes. Each channel of `incidents.notify`
    is tried four times.

    Args:
        subject: One line
        page: More, as Markdown
    """
    channels = load_settings().incidents.notify
    sending = [
        cast("Awaitable[State[None]]", notify_of_alerts(channel, subject, page, return_state=True))
        for channel in channels
    ]
    states = await asyncio.gather(*sending)
    failed = [channel for channel, state in zip(channels, states, strict=True) if not state.is_completed()]
    if failed:
        return Failed(message=f"not told: {', '.join(failed)}")
    message = f"{plural(len(channels), 'channel')} told"
    return Completed(message=message, data=message)
