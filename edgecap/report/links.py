"""Links to reports that the receiver serves; without any, pages name the command that makes a report."""

from __future__ import annotations

from dataclasses import dataclass
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
    """

    base: str = ""
    served: bool = False

    def capture(self, capture_id: str) -> str:
        """The address of a capture's report; empty if none is served."""
        return f"{self.base}{CAPTURES}{quote(capture_id, safe='')}" if self.served and capture_id else ""

    def incident(self, incident_id: str) -> str:
        """The address of an incident's report; empty if none is served."""
        return f"{self.base}{INCIDENTS}{quote(incident_id, safe='')}" if self.served and incident_id else ""


NOWHERE = Links()
"""No report is served."""

HERE = Links(served=True)
"""Addresses on the server that the page comes from."""


def links_to(base: str) -> Links:
    """Links to a receiver's public address; none if it is empty."""
    return Links(base, served=bool(base))
