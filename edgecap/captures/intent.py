"""Deciding on a request: the step from what somebody wants to what exactly will be posted, once."""

from __future__ import annotations

from datetime import datetime

from edgecap.archive.journal import Intent
from edgecap.captures import identity
from edgecap.captures.body import request_body
from edgecap.captures.incident_part import IncidentPart
from edgecap.filters.check import check_request
from edgecap.filters.of_request import residual
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.settings import Settings


def identity_of(run_id: str, part: IncidentPart | None) -> str:
    """The identity of a run's intent: that of the incident's capture if it is one, else from the run's id."""
    return part.intent_id if part else identity.intent_id(run_id)


def decide(
    request: SimpleRequest | FullRequest,
    settings: Settings,
    *,
    run_id: str,
    run_name: str,
    account: str,
    archive: str,
    scheduled: datetime | None,
    now: datetime,
    series: str = "",
    part: IncidentPart | None = None,
) -> Intent:
    """The intent of a run, with the window it is meant to have and the body it will post.

    A simple capture without `offset_time` asks for the window that ends when the run was scheduled, or now if
    it was not. The window of an incident's capture is given, and gets the intent's mark. The body leaves out
    the destination, which may hold a secret. What its filter leaves to do of the
    expression is written down beside it, so that it stays what it was when settings change.

    Args:
        request: what is asked for.
        settings: the bounds in force.
        run_id: what the intent's identity derives from: the same for every life of a run.
        run_name: for people who read the journal.
        account: name of the account.
        archive: name of the archive.
        scheduled: the time that a schedule gave the run.
        now: the time, by the API's clock where it is known.
        series: the deployment whose schedule started the run.
        part: which part of which incident it is.

    Raises:
        InvalidRequest: a field is out of bounds, or the filter expression is not valid.
        WindowTooOld: the window is more than 24 hours old.
    """
    intent = identity_of(run_id, part)
    if isinstance(request, SimpleRequest) and (request.offset_time is None or part):
        ends = request.offset_time or (min(scheduled, now) if scheduled else now)
        request = request.model_copy(update={"offset_time": identity.fingerprint(ends, intent)})
    check_request(request, settings.bounds, now=now)
    body = request_body(request, settings.bounds)
    body.pop("destination_conf", None)
    return Intent(
        intent_id=intent,
        request=request,
        account=account,
        archive=archive,
        body=body,
        residual=residual(request, settings.bounds),
        decided=now,
        run=f"{run_id} {run_name}".strip(),
        scheduled=scheduled,
        series=series,
        alert=part.alert if part else None,
        incident=part.incident if part else None,
    )
