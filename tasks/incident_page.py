"""The page of an incident in Prefect's UI: an artifact, which is made anew as its captures end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from prefect.artifacts import acreate_markdown_artifact

from edgecap.errors import EdgecapError
from edgecap.incidents.record import Incident, IncidentEvent, Part
from edgecap.report.incident_markdown import incident_page
from edgecap.report.links import links_to
from edgecap.report.loading import Pictured, picture
from edgecap.settings import load_settings
from edgecap.stores import open_store
from tasks.archive import artifact_page
from tasks.runtime.retry import PREFECT_AWAY


async def show_incident(
    opened: IncidentEvent, parts: Sequence[Part], archive: str, record: Incident | None = None
) -> None:
    """Show an incident in Prefect's UI. If Prefect is away, the incident goes on without the page.

    Args:
        opened: how it began.
        parts: what became of its captures so far; empty shows the plan.
        archive: name of the archive in the settings.
        record: the incident once it is closed.
    """
    with suppress(*PREFECT_AWAY):
        await acreate_markdown_artifact(
            incident_page(
                opened,
                parts,
                record,
                captures=await _pictured(parts, archive),
                links=links_to(load_settings().receiver.report_url),
                page_of=artifact_page,
            ),
            key=f"incident-{opened.incident[:12]}",
            description=str(record) if record else opened.alert_in_words,
        )


async def _pictured(parts: Sequence[Part], archive: str) -> list[Pictured]:
    """The captures with their summaries; none if the archive does not answer: the page does without."""
    store = open_store(load_settings().archive(archive))
    with suppress(EdgecapError):
        return await asyncio.to_thread(lambda: [picture(store, part) for part in parts])
    return []
