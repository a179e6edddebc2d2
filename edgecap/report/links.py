"""Links to other reports: files in the same folder, or pages that the receiver serves.

Without any, pages name the command that makes a report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

CAPTURES = "/captures/"
INCIDENTS = "/incidents/"


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of reports.

    Attributes:
        base: the receiver's, such as https://edgecap.example.net, without a `/` at its end; `.` within pages
            that the receiver itself serves.
        served: whether there is anything at `base`.
        beside: the files in the page's own folder, by the id of the capture or incident that they report.
    """

    base: str = ""
    served: bool = False
    beside: Mapping[str, str] = field(default_factory=dict)

    def capture(self, capture_id: str) -> str:
        """The address of a capture's report; empty if there is none."""
        return self._to(CAPTURES, capture_id)

    def incident(self, incident_id: str) -> str:
        """The address of an incident's report; empty if there is none."""
        return self._to(INCIDENTS, incident_id)

    def _to(self, path: str, report_id: str) -> str:
        if report_id in self.beside:
            return quote(self.beside[report_id])
        return f"{self.base}{path}{quote(report_id, safe='')}" if self.served and report_id else ""


NOWHERE = Links()
"""No report is served."""

HERE = Links(served=True)
"""Addresses on the server that the page comes from."""


def links_to(base: str, *, beside: Mapping[str, str] | None = None) -> Links:
    """Links to files in the same folder, else to a receiver's public address; none if that is empty."""
    return Links(base, served=bool(base), beside=beside or {})
