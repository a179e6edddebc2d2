"""Split a request's filter into the API's part and the rest that is applied after the download.

A request has the API's own fields and an expression; packets must match both. The API gets the fields, and
what it supports of the expression; the rest is the residual. Both depend only on the request and the bounds.
"""

from __future__ import annotations

from edgecap.errors import InvalidRequest
from edgecap.filters.names import looked_up
from edgecap.filters.translate import Explained, explain
from edgecap.requests import Bounds, Filter, FullRequest, SimpleRequest

LONGEST = 5_000  # characters: some 250 addresses, which libpcap compiles within a second
_SHOWN = 60  # characters of an expression in an error


def explain_request(request: SimpleRequest | FullRequest, bounds: Bounds) -> Explained:
    """Split a request's filter fields and expression.

    Host names are rejected, because their addresses may change before the packets are fetched.

    Args:
        request: the request; its fields must be valid.
        bounds: whether the API supports networks and IPv6.

    Raises:
        InvalidRequest: libpcap rejects the expression, or it is too long or has host names
            (`field` is `expression`), or it contradicts one of the fields (`field` is that one).
    """
    text = request.expression
    if len(text) > LONGEST:
        raise _refused(text, f"the filter has {len(text):,} characters", f"use at most {LONGEST:,}")
    if names := looked_up(text):
        raise _refused(
            text,
            f"the filter has the unknown word {names[0]!r}",
            "correct it, or give the address if it is a host name",
        )
    try:
        return explain(text, bounds=bounds, known=request.filter)
    except InvalidRequest as error:
        if error.field.startswith("filter_v1."):
            raise
        raise _refused(text, error.what, error.hint) from None


def api_filter(request: SimpleRequest | FullRequest, bounds: Bounds) -> Filter:
    """The `filter_v1` of a request: its fields, and the part of its expression that the API supports.

    Raises:
        InvalidRequest: as `explain_request`.
    """
    return explain_request(request, bounds).filter


def residual(request: SimpleRequest | FullRequest, bounds: Bounds) -> str:
    """The part of a request's filter to apply after the download; empty if the API applies all of it.

    Raises:
        InvalidRequest: as `explain_request`.
    """
    return explain_request(request, bounds).residual


def _refused(text: str, what: str, hint: str) -> InvalidRequest:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return InvalidRequest(what, field="expression", where=f"expression {shown!r}", hint=hint)
