"""Cancelled runs and their intents: what stopping their captures takes. Prefect is not imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgecap.archive.journal import Journal
from edgecap.captures import identity
from edgecap.captures.incident_part import IncidentPart
from edgecap.captures.parameters import is_full
from edgecap.captures.stopping import TIMEOUT, Stopped, stop_by_id_or_intent, stop_unless_asked
from edgecap.cloudflare.client import Client
from edgecap.settings import DEFAULT, load_settings
from edgecap.stores import open_store

CAPTURE = "edgecap.capture"  # the label that holds the id of a run's full capture


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A run for a full capture that is cancelled, and the intent that it had.

    Attributes:
        run_id: the flow run's id.
        intent_id: the intent's.
        account: name of the account in the settings.
        archive: name of the archive in the settings.
        capture_id: the capture, if the run has it as a label; empty if only the journal may know it.
        is_over: whether no process works on the run any more, as far as Prefect knows.
    """

    run_id: str
    intent_id: str
    account: str = DEFAULT
    archive: str = DEFAULT
    capture_id: str = ""
    is_over: bool = True

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> Cancelled | None:
        """Read a run of the flow `capture`, as Prefect's API shows it; None if it is for no full capture."""
        given = run.get("parameters") or {}
        part = given.get("part")
        if not is_full(given):
            return None
        run_id = str(run["id"])
        try:
            intent_id = IncidentPart.model_validate(part).intent_id if part else identity.intent_id(run_id)
        except ValueError:  # parameters that no run of ours has
            return None
        return cls(
            run_id,
            intent_id,
            str(given.get("account") or DEFAULT),
            str(given.get("archive") or DEFAULT),
            str((run.get("labels") or {}).get(CAPTURE) or ""),
            is_over=(run.get("state") or {}).get("type") != "CANCELLING",
        )


async def stop_once(cancelled: Cancelled) -> Stopped:
    """Try to stop a cancelled run's capture, once, unless it was asked to stop before.

    Raises:
        EdgecapError: the capture may go on, or nothing is known about it.
    """
    settings = load_settings()
    async with Client(settings.account(cancelled.account), timeout=TIMEOUT, attempts=1) as client:
        return await stop_by_id_or_intent(
            client,
            cancelled.capture_id,
            cancelled.intent_id,
            lambda: Journal(open_store(settings.archive(cancelled.archive))),
            how=stop_unless_asked,
        )
