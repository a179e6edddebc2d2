"""Deciding on an order: what exactly will be posted. It is decided once."""

from __future__ import annotations

from datetime import datetime

from edgecap.analytics.choice import Choice
from edgecap.archive.journal_records import Intent
from edgecap.captures import identity
from edgecap.captures.body import request_body
from edgecap.captures.order import CaptureOrder
from edgecap.errors import NoPlace
from edgecap.filters.check import check_request
from edgecap.filters.of_request import residual
from edgecap.requests import FullRequest, SimpleRequest
from edgecap.settings import Settings


def decide(order: CaptureOrder, settings: Settings, *, now: datetime, choice: Choice | None = None) -> Intent:
    """The intent of an order: the window that it asks for, and the body that its run will post.

    A simple capture without `offset_time` asks for the window that ends when its run was scheduled, or now
    if no schedule started it. The window of an incident's capture is given. Both get the intent's mark. A
    full capture that is to choose its place goes to the first one of `choice`. The body leaves out the
    destination, which may hold a secret. The part of the expression that the API cannot apply is written
    down beside it, so that it stays the same when settings change.

    Args:
        order: what is asked for.
        settings: the bounds in force.
        now: the time, by the API's clock where it is known.
        choice: of the place, if the order names none.

    Raises:
        NoPlace: the order names no place, and none could be chosen.
        InvalidRequest: a field is out of bounds, or the filter expression is not valid.
        WindowTooOld: the window is more than 24 hours old.
    """
    request, scheduled, part = order.request, order.scheduled, order.part
    if isinstance(request, SimpleRequest) and (request.offset_time is None or part):
        ends = request.offset_time or (min(scheduled, now) if scheduled else now)
        request = request.model_copy(update={"offset_time": identity.fingerprint(ends, order.intent_id)})
    if isinstance(request, FullRequest) and request.chooses_place:
        if choice is None or not choice.places:
            raise NoPlace(
                choice.words if choice else "no data centre is named",
                hint="name one such as ORD in place of auto",
            )
        request = request.at(choice.places[0])
    check_request(request, settings.bounds, now=now)
    body = request_body(request, settings.bounds)
    body.pop("destination_conf", None)
    return Intent(
        intent_id=order.intent_id,
        request=request,
        account=order.account,
        archive=order.archive,
        body=body,
        residual=residual(request, settings.bounds),
        decided=now,
        run=f"{order.run_id} {order.run_name}".strip(),
        scheduled=scheduled,
        series=order.series,
        alert=part.alert if part else None,
        incident=part.incident if part else None,
        choice=choice.model_dump(mode="json") if choice else part.choice if part else None,
    )
