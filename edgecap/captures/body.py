"""The JSON that starts a capture."""

from __future__ import annotations

from typing import Any

from edgecap.filters.of_request import api_filter
from edgecap.requests import SYSTEM, Bounds, FullRequest, SimpleRequest, rfc3339


def request_body(
    request: SimpleRequest | FullRequest,
    bounds: Bounds | None = None,
    *,
    destination_conf: str | None = None,
) -> dict[str, Any]:
    """The JSON body of `POST /pcaps`.

    Args:
        request: what is asked for.
        bounds: whether the API takes networks and IPv6; it does not unless said.
        destination_conf: the bucket's URI, for a full capture. It may hold a secret.

    Raises:
        InvalidRequest: the expression is not valid, or contradicts the filter's fields.
    """
    body: dict[str, Any] = {"type": request.type, "system": SYSTEM, "time_limit": request.time_limit}
    if request.packet_limit is not None:
        body["packet_limit"] = request.packet_limit
    if isinstance(request, SimpleRequest):
        if request.offset_time is not None:
            body["offset_time"] = rfc3339(request.offset_time)
    else:
        if request.byte_limit is not None:
            body["byte_limit"] = request.byte_limit
        body["colo_name"] = request.colo
        body["destination_conf"] = destination_conf
    body["filter_v1"] = api_filter(request, bounds or Bounds()).body()
    return body
