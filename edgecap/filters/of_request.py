"""Which packets a request asks for: what of it the API filters, and what is applied after the download.

A request has the API's own fields and an expression, and wants the packets that both describe. The fields go
to the API as they are, with whatever else of the expression it can do; the rest is the residual. Both follow
from the request and the bounds alone.
"""

from __future__ import annotations

from edgecap.errors import InvalidRequest
from edgecap.filters.names import looked_up
from edgecap.filters.translate import Explained, explain
from edgecap.requests import Bounds, Filter, FullRequest, SimpleRequest

LONGEST = 5_000  # characters; some 250 addresses, which take libpcap a second at most
_SHOWN = 60  # characters of an expression in an error


def explain_request(request: SimpleRequest | FullRequest, bounds: Bounds) -> Explained:
    """What becomes of a request's filter fields and expression together.

    Names of hosts are refused, since what they stand for may be another address by the time that the packets
    are there.

    Args:
        request: what is asked for; its fields are taken to be valid.
        bounds: whether the API takes networks and IPv6.

    Raises:
        InvalidRequest: the expression is none that libpcap takes, is too long or has names of hosts
            (`field` is `expression`), or contradicts one of the fields (`field` is that one).
    """
    text = request.expression
    if len(text) > LONGEST:
        raise _refused(text, f"the filter has {len(text):,} characters", f"write it with {LONGEST:,} at most")
    if names := looked_up(text):
        raise _refused(
            text,
            f"the filter has {names[0]!r} in it, which is no word of its language",
            "correct it, or give the address if it is the name of a host",
        )
    try:
        return explain(text, bounds=bounds, known=request.filter)
    except InvalidRequest as error:
        if error.field.startswith("filter_v1."):
            raise
        raise _refused(text, error.what, error.hint) from None


def api_filter(request: SimpleRequest | FullRequest, bounds: Bounds) -> Filter:
    """The `filter_v1` of a request: its fields, and what the API can do of its expression.

    Raises:
        InvalidRequest: as `explain_request`.
    """
    return explain_request(request, bounds).filter


def residual(request: SimpleRequest | FullRequest, bounds: Bounds) -> str:
    """What is left to apply to the packets of a request; empty if the API does all of it.

    Raises:
        InvalidRequest: as `explain_request`.
    """
    return explain_request(request, bounds).residual


def _refused(text: str, what: str, hint: str) -> InvalidRequest:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return InvalidRequest(what, field="expression", where=f"expression {shown!r}", hint=hint)
