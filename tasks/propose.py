"""Task `propose filters`: what could be done against the attack of an incident. Pushes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from edgecap.errors import EdgecapError
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.propose import propose_for
from edgecap.incidents.record import IncidentEvent, Part
from edgecap.proposals.model import Proposals
from edgecap.settings import load_settings
from edgecap.stores import open_store


@task(name="propose filters", task_run_name="propose filters", cache_policy=NO_CACHE)
async def propose_filters(opened: IncidentEvent, parts: Sequence[Part], archive: str) -> Proposals | None:
    """Look for filters against the attack, and keep them with the incident.

    An error is only logged: the incident is closed without them.

    Args:
        opened: how the incident began.
        parts: the outcomes of its captures.
        archive: name of the archive in the settings.

    Returns:
        The filters; None if there is nothing to compare, or an error.
    """
    try:
        store = open_store(load_settings().archive(archive))
        incidents = Incidents(store)
        known = await asyncio.to_thread(incidents.proposals, opened.incident)
        if known is not None:
            return known
        found = await asyncio.to_thread(propose_for, store, opened, parts)
        return await asyncio.to_thread(incidents.propose, opened.incident, found) if found else None
    except EdgecapError as error:
        get_run_logger().warning("No filters could be proposed: %s", error)
    except Exception:  # noqa: BLE001 - a fault of ours must not keep the incident open
        get_run_logger().exception("No filters could be proposed, by a fault of edgecap's own")
    return None
