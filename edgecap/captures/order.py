"""The order for one capture: all that a run knows of what it is to do, before it decides anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from edgecap.captures import identity
from edgecap.captures.incident_part import IncidentPart
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.settings import DEFAULT

IfLate = Literal["run", "skip"]


@dataclass(frozen=True, slots=True)
class CaptureOrder:
    """What to capture, for whom, and when. It is the same each time that its run is taken up again.

    Attributes:
        request: what is asked for.
        run_id: the flow run's id.
        run_name: the flow run's name, for people who read the journal.
        account: name of the account in the settings.
        archive: name of the archive in the settings.
        if_late: whether a scheduled full capture that starts long after its time runs, or is skipped.
        part: the part of an incident that the capture is; None if no alert asked for it.
        scheduled: the time that a schedule gave the run, aware; None if no schedule started it.
        series: the deployment whose schedule started the run; empty if none did.
    """

    request: SimpleRequest | FullRequest
    run_id: str
    run_name: str = ""
    account: str = DEFAULT
    archive: str = DEFAULT
    if_late: IfLate = "run"
    part: IncidentPart | None = None
    scheduled: datetime | None = None
    series: str = ""

    @property
    def intent_id(self) -> str:
        """The id of its intent: from the incident's part if it is one, else from the run's id."""
        return self.part.intent_id if self.part else identity.intent_id(self.run_id)
