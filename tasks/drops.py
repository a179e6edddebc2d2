"""Tasks about what the edge dropped of an incident's packets: ask for it, and have it asked again later."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound

from edgecap.errors import EdgecapError
from edgecap.incidents.asking_drops import ask_for, question_of
from edgecap.incidents.drops import LATER, Drops, Round
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.overview import Overview
from edgecap.incidents.record import IncidentEvent
from edgecap.settings import load_settings
from edgecap.stores import open_store
from edgecap.units import percent
from tasks.runtime.alert_runs import ALERT, incident_tag, plain
from tasks.runtime.deployment_names import DROPS
from tasks.runtime.find_runs import find_deployment
from tasks.runtime.retry import PREFECT_AWAY, retry_prefect


@task(name="ask what was dropped", task_run_name="ask what was dropped", cache_policy=NO_CACHE)
async def ask_drops(opened: IncidentEvent, archive: str, asked: Round = "closing") -> Drops | None:
    """Ask what the edge dropped of an incident's packets, and write it down. Never fails.

    Args:
        opened: how the incident began.
        archive: name of the archive in the settings.
        asked: the round.

    Returns:
        The record; None if there is nothing to ask for, or the archive is away.
    """
    log = get_run_logger()
    try:
        settings = load_settings()
        account, store = settings.account(opened.account), open_store(settings.archive(archive))
        if not account.analytics.enabled and not account.analytics.logpush:
            return None
        told = await asyncio.to_thread(Incidents(store).told, opened.incident)
        incident = Overview(opened.incident, opened=told.opened or opened, ended=told.ended)
        alert = incident.first_alert
        if alert is None or incident.attack_began is None:
            return None
        question = question_of(
            opened.incident,
            asked,
            alert.targets,
            incident.attack_began,
            incident.attack_ended,
            datetime.now(UTC),
        )
        if question is None:
            return None
        drops = await ask_for(question, settings, account, store)
    except EdgecapError as error:
        log.warning("What the edge dropped could not be asked for: %s", error)
    except Exception:
        # A fault of ours must not keep the incident open.
        log.exception("What the edge dropped could not be asked for, by a fault of edgecap's own")
    else:
        for problem in drops.problems:
            log.warning("What the edge dropped is not fully known: %s", problem)
        log.info("%s", in_a_line(drops))
        return drops
    return None


def in_a_line(drops: Drops | None) -> str:
    """What was dropped, for the state of a run."""
    found = drops.best if drops else None
    if found is None:
        return "it is not known what the edge dropped"
    if found.share is None:
        return "Network Analytics has no packets of it"
    return f"the edge dropped {percent(found.share)} of the packets"


async def ask_again_later(opened: IncidentEvent, archive: str) -> None:
    """Schedule the runs that ask again when rows have settled; each only once, however often this is called.

    A Prefect that is away, or has no such deployment, is only logged.

    Args:
        opened: how the incident began.
        archive: name of the archive in the settings.
    """
    settings = load_settings()
    with suppress(EdgecapError):
        analytics = settings.account(opened.account).analytics
        if not analytics.enabled and not analytics.logpush:
            return
    try:
        await retry_prefect(_schedule, opened, archive)
    except ObjectNotFound:
        get_run_logger().warning(
            "What the edge dropped is not asked for again: Prefect has no deployment %s; `edgecap deploy` "
            "creates it",
            DROPS,
        )
    except PREFECT_AWAY as error:
        get_run_logger().warning("What the edge dropped is not asked for again: %s", error)


async def _schedule(opened: IncidentEvent, archive: str) -> None:
    async with get_client() as client:
        deployment = await find_deployment(client, DROPS)
        for asked, later in LATER.items():
            await client.create_flow_run_from_deployment(
                deployment.id,
                name=f"incident {opened.incident[:8]}: what was dropped, {asked.replace('-', ' ')}",
                parameters=plain(
                    {
                        "incident": opened.incident,
                        "asked": asked,
                        "account": opened.account,
                        "archive": archive,
                    }
                ),
                tags=[ALERT, incident_tag(opened.incident)],
                state=State[None](
                    type=StateType.SCHEDULED,
                    state_details={"scheduled_time": datetime.now(UTC) + later},
                ),
                idempotency_key=f"drops {opened.incident} {asked}",
            )
