"""An incident's report and those of its captures, as files of one folder that link to each other."""

from __future__ import annotations

from dataclasses import dataclass

from edgecap.incidents.overview import Overview, Overviews
from edgecap.report.entry import entry_html
from edgecap.report.file_names import capture_name
from edgecap.report.incident import incident_html
from edgecap.report.incident_words import incident_verdict
from edgecap.report.links import links_to
from edgecap.report.loading import pictured, proposed
from edgecap.stores.base import Store


@dataclass(frozen=True, slots=True)
class IncidentPages:
    """The pages of an incident.

    Attributes:
        verdict: what it was, in a line.
        own: its own page.
        captures: the pages of its captures, by the names of their files.
    """

    verdict: str
    own: str
    captures: dict[str, str]


def incident_pages(
    store: Store, known: Overviews, incident: Overview, *, name: str, base: str, captures: bool
) -> IncidentPages:
    """The pages of an incident and of its captures that have an entry.

    Args:
        store: the archive.
        known: its incidents.
        incident: the incident.
        name: the file of its own page.
        base: a receiver's public address, for links to other reports; may be empty.
        captures: whether to make the pages of its captures; then all pages link to each other.

    Raises:
        StoreError: the archive does not answer, or does not let us.
    """
    parts = list(pictured(store, known, incident))
    kept = [(each, each.entry) for each in parts if each.entry and captures]
    names = {entry.manifest.entry_id: f"{capture_name(each.part, entry)}.html" for each, entry in kept}
    links = links_to(base, beside={**names, incident.id: name} if captures else {})
    pages = {
        names[entry.manifest.entry_id]: entry_html(entry, each.summary, links=links, remark=each.remark)
        for each, entry in kept
    }
    own = incident_html(incident, parts, links=links, proposals=proposed(store, incident.id))
    return IncidentPages(incident_verdict(incident, parts), own, pages)
