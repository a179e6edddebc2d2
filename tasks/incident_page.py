"""The page of an incident in Prefect's UI: one artifact, which is written anew as its captures end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus

import httpx
from prefect import get_run_logger
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey
from prefect.settings import PREFECT_UI_URL

from edgecap.errors import EdgecapError
from edgecap.incidents.drops import read_drops
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.overview import Overview, Overviews
from edgecap.incidents.record import Incident, IncidentEvent, Part
from edgecap.proposals.model import Proposals
from edgecap.report.incident_markdown import incident_headline, incident_page
from edgecap.report.links import links_to
from edgecap.report.loading import Pictured, pictures
from edgecap.settings import load_settings
from edgecap.stores import open_store
from tasks.archive import artifact_page
from tasks.runtime.retry import PREFECT_AWAY


async def show_incident(
    noted: IncidentEvent,
    parts: Sequence[Part],
    archive: str,
    record: Incident | None = None,
    proposals: Proposals | None = None,
) -> None:
    """Show an incident in Prefect's UI. If Prefect is away, the incident goes on without the page.

    It has one page, so that its run and the list of artifacts show one thing, the newest.

    Args:
        noted: an alert of it.
        parts: what became of its captures so far; empty for what the archive says.
        archive: name of the archive in the settings.
        record: the incident once it is closed.
        proposals: the filters that are proposed against it, once it is closed.
    """
    with suppress(*PREFECT_AWAY):
        incident, captures = await seen(noted, parts, archive, record)
        page = incident_page(
            incident,
            captures,
            links=links_to(load_settings().receiver.report_url),
            page_of=artifact_page,
            proposals=proposals,
        )
        key = _key(incident.id)
        if not await _update(key, page, incident_headline(incident, captures)):
            made = await acreate_markdown_artifact(
                page, key=key, description=incident_headline(incident, captures)
            )
            ui = (PREFECT_UI_URL.value() or "").rstrip("/")
            get_run_logger().info("The page of this incident: %s/v2/artifacts/artifact/%s", ui, made)


async def seen(
    noted: IncidentEvent, parts: Sequence[Part], archive: str, record: Incident | None = None
) -> tuple[Overview, list[Pictured]]:
    """An incident and its captures with their summaries; without the archive, what is known here.

    Args:
        noted: an alert of it.
        parts: what became of its captures so far; empty for what the archive says.
        archive: name of the archive in the settings.
        record: the incident once it is closed.
    """
    store = open_store(load_settings().archive(archive))

    def look() -> tuple[Overview, list[Pictured]]:
        incidents = Incidents(store)
        told = incidents.told(noted.incident)
        incident = Overview(
            noted.incident,
            opened=told.opened if told.events else noted,
            escalations=tuple(told.escalations),
            ended=told.ended,
            record=record,
            counted=incidents.held_back(noted.incident),
            drops=read_drops(store, noted.incident),
        )
        shown = parts or list(Overviews(store, None).parts(incident))
        return incident, list(pictures(store, incident, shown))

    with suppress(EdgecapError):
        return await asyncio.to_thread(look)
    return Overview(noted.incident, opened=noted, record=record), [Pictured(part) for part in parts]


async def _update(key: str, page: str, description: str) -> bool:
    """Write an artifact anew; False if there is none."""
    async with get_client() as client:
        known = await client.read_latest_artifacts(
            artifact_filter=ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[key]))
        )
        if not known:
            return False
        try:
            # `update_artifact` would put the whole page into an event, too.
            await client.request(
                "PATCH",
                "/artifacts/{id}",
                path_params={"id": known[0].latest_id},
                json={"data": page, "description": description},
            )
        except httpx.HTTPStatusError as error:
            if error.response.status_code == HTTPStatus.NOT_FOUND:  # it was deleted
                return False
            raise
    return True


def _key(incident: str) -> str:
    return f"incident-{incident[:12]}"
