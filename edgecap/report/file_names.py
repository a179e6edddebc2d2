"""How files about an incident and its captures are named."""

from __future__ import annotations

from edgecap.archive.entries import Entry
from edgecap.archive.layout import EVERYWHERE, safe_name
from edgecap.incidents.record import Part


def report_name(report_id: str) -> str:
    """The file of a report of its own."""
    return f"edgecap-{safe_name(report_id)}.html"


def folder_name(incident_id: str) -> str:
    """The folder for an incident's files."""
    return f"edgecap-{safe_name(incident_id)}"


def capture_name(part: Part, entry: Entry) -> str:
    """The files of an incident's capture, without a suffix: such as `before-1-all` or `during-1-ORD`."""
    return f"{part.phase}-{part.number}-{safe_name(entry.manifest.colo or EVERYWHERE)}"
