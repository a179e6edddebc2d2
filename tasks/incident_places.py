"""Task of the flow `respond`: choose the data centres of an incident's full captures, and write them down."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from edgecap.alerts.policy.decision import Planned
from edgecap.analytics.choice import Choice
from edgecap.analytics.choosing import Wanted
from edgecap.filters.destinations import destinations
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.placing import awaiting, placed, places_of
from edgecap.incidents.record import IncidentEvent, Placed
from edgecap.requests import FullRequest
from edgecap.settings import Settings, load_settings
from edgecap.stores import open_store
from edgecap.stores.base import Store
from tasks.choose import choose
from tasks.runtime.retry import DELAYS, TRIES, passing_soon


@task(
    name="choose places",
    task_run_name="choose places",
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=DELAYS,
    retry_condition_fn=passing_soon,
)
async def choose_places(name: str, noted: IncidentEvent, archive: str, again: bool = False) -> IncidentEvent:
    """Choose the data centres of an event's full captures, once, and write them down.

    The choice itself takes the account's `analytics.wait` at most. It falls back to the places of the rule,
    and to those of earlier captures.

    Args:
        name: of the event's record.
        noted: the event, as it was decided.
        archive: name of the archive in the settings.
        again: choose another place: the captures at the earlier ones had few packets.

    Returns:
        The event, with its captures at all the places that were chosen.

    Raises:
        StoreError: the archive cannot be read or written.
    """
    settings = load_settings()
    store = open_store(settings.archive(archive))
    incidents, planned = Incidents(store), awaiting(noted)
    told = await asyncio.to_thread(incidents.told, noted.incident)
    records = told.placed(name)
    if planned is None or (records and not again):
        return noted.placed(records)
    choice = await _choose(planned, noted, records, settings, store)
    record = placed(planned, choice, records, at=datetime.now(UTC))
    get_run_logger().info("%s", record.remark)
    stands = await asyncio.to_thread(incidents.place, noted.incident, name, len(records) + 1, record)
    return noted.placed([*records, stands])


async def _choose(
    planned: Planned, noted: IncidentEvent, records: list[Placed], settings: Settings, store: Store
) -> Choice:
    request = planned.request
    assert isinstance(request, FullRequest)
    if request.bucket not in settings.buckets:
        return Choice(places=(), by="none", words=f"the settings have no bucket {request.bucket!r} for it")
    wanted = Wanted(
        account=noted.account,
        targets=destinations(request),
        policy=noted.plan.places,
        tried=places_of(records),
        most=1 if records else planned.most,
    )
    choice = (await choose(wanted, settings.account(noted.account), store)).choice
    if records and choice.by == "analytics" and not choice.evidence.passed:
        return choice.model_copy(
            update={"places": (), "by": "none", "words": f"nothing passes anywhere; {choice.words}"}
        )
    return choice
