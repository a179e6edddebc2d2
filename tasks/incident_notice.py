"""Tells people of an incident by Prefect's notification blocks: when it opens, escalates and closes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, Literal, cast

from prefect import get_run_logger, task
from prefect.blocks.core import Block
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from edgecap.errors import ConfigError, EdgecapError
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.record import Incident, IncidentEvent
from edgecap.proposals.model import Proposals
from edgecap.report.incident_markdown import incident_page
from edgecap.report.incident_words import brief_verdict
from edgecap.report.links import links_to
from edgecap.settings import load_settings
from edgecap.stores import open_store
from edgecap.units import plural
from tasks.incident_page import seen
from tasks.runtime.alert_runs import NOTIFY

Occasion = Literal["opening", "escalation", "closing"]
_DELAYS = [2.0, 10.0, 30.0]  # seconds before a channel is tried again


async def tell(
    occasion: Occasion,
    noted: IncidentEvent,
    archive: str,
    record: Incident | None = None,
    proposals: Proposals | None = None,
) -> None:
    """Notify each channel of the settings, once for each occasion. Never fails.

    A channel that does not take it is tried four times. Then its task has failed, for people to see.

    Args:
        occasion: what there is to tell.
        noted: the alert of it; at the closing, the one that opened it.
        archive: name of the archive in the settings.
        record: the incident once it is closed.
        proposals: the filters that are proposed against it, at the closing.
    """
    settings = load_settings()
    if not settings.incidents.notify:
        return
    links = links_to(settings.receiver.report_url)
    incident, captures = await seen(noted, record.captures if record else (), archive, record)
    # Many channels show no image, and some cut a long text.
    page = incident_page(
        incident,
        captures,
        links=links,
        picture=False,
        proposals=proposals,
        news=_news(noted) if occasion == "escalation" else "",
    )
    name = f"edgecap: incident {noted.incident[:8]}"
    subject = (
        f"{name} closed: {brief_verdict(incident, captures)}" if record else f"{name}{_line(occasion, noted)}"
    )
    event = occasion if occasion != "escalation" else f"{occasion} {noted.alert.get('identity', '')}"
    told = (noted.incident, archive, subject, page)
    sending = [
        cast("Awaitable[object]", notify(channel, event, *told, return_state=True))
        for channel in settings.incidents.notify
    ]
    await asyncio.gather(*sending)


def _line(occasion: Occasion, noted: IncidentEvent) -> str:
    plan = noted.plan
    if occasion == "escalation":
        return f" escalated, {plural(len(plan.captures), 'capture')} added: {noted.alert_in_words}"
    if not plan.captures:
        return f" has {plan.reason}: {noted.alert_in_words}"
    return f", {plural(len(plan.captures), 'capture')} started: {noted.alert_in_words}"


def _news(noted: IncidentEvent) -> str:
    """What an escalation is, such as `Escalated: DNS flood on 203.0.113.7, critical. Added: during 2.`."""
    names = [f"{each.phase} {each.number}" for each in noted.plan.captures]
    added = f" Added: {', '.join(names)}." if names else ""
    return f"Escalated: {noted.alert_briefly}.{added}"


async def _may_pass(_task: object, _run: object, state: State[Any]) -> bool:
    """Whether another try may help: not, if there is no such block."""
    return not isinstance(await state.aresult(raise_on_failure=False), ConfigError)


@task(
    name="notify",
    task_run_name=NOTIFY + "{channel}: {event}",
    cache_policy=NO_CACHE,
    retries=len(_DELAYS),
    retry_delay_seconds=_DELAYS,
    retry_condition_fn=_may_pass,
)
async def notify(channel: str, event: str, incident: str, archive: str, subject: str, page: str) -> None:
    """Notify one channel, unless that was done before.

    Args:
        channel: the block, such as `slack-webhook/on-call`.
        event: what there is to tell; told once for an incident.
        incident: its id.
        archive: name of the archive in the settings.
        subject: a line.
        page: Markdown.

    Raises:
        ConfigError: there is no such block.
        Exception: the channel's own.
    """
    incidents = Incidents(open_store(load_settings().archive(archive)))
    if await asyncio.to_thread(incidents.has_told, incident, event, channel):
        return
    await _send(channel, subject, page)
    try:
        await asyncio.to_thread(incidents.note_told, incident, event, channel, datetime.now(UTC))
    except EdgecapError as error:
        get_run_logger().warning("%s was notified, and may be again: %s", channel, error)


@task(
    name="notify",
    task_run_name=NOTIFY + "{channel}: alerts without captures",
    cache_policy=NO_CACHE,
    retries=len(_DELAYS),
    retry_delay_seconds=_DELAYS,
    retry_condition_fn=_may_pass,
)
async def notify_of_alerts(channel: str, subject: str, page: str) -> None:
    """Notify one channel of something that is no incident.

    Args:
        channel: the block, such as `slack-webhook/on-call`.
        subject: a line.
        page: Markdown.

    Raises:
        ConfigError: there is no such block.
        Exception: the channel's own.
    """
    await _send(channel, subject, page)


async def _send(channel: str, subject: str, page: str) -> None:
    try:
        block = cast("Any", await Block.aload(channel))
    except ValueError:
        raise ConfigError(
            f"Prefect has no notification block {channel}",
            where="incidents.notify",
            hint="create it in Prefect's UI (Blocks), or correct the setting",
        ) from None
    try:
        await block.notify(page, subject=subject)
    except Exception as error:
        # Its text may hold the channel's address, which is a secret of some products.
        get_run_logger().error("Notification %s failed: %s", channel, type(error).__name__)
        raise
