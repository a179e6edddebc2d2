"""Translate httpx's exceptions into edgecap's."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from edgecap.cloudflare.answers import Call
from edgecap.errors import NetworkFailure
from edgecap.network.errors import diagnose

# All exceptions of httpx; StreamError and CookieConflict are not subclasses of HTTPError.
HTTPX_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)

# Raised before the first byte of a request is sent: by connecting, or the proxy's own handshake.
_NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)


def network_failure(error: Exception, call: Call, url: str) -> NetworkFailure:
    """The NetworkFailure for one of `HTTPX_ERRORS`.

    Args:
        error: httpx's exception.
        call: the call.
        url: its URL.
    """
    sent = not isinstance(error, _NOTHING_SENT)
    if not sent and (diagnosis := diagnose(error, url)):
        found = NetworkFailure(call.hide(diagnosis.what), where=str(call), hint=diagnosis.hint, sent=False)
        found.permanent = diagnosis.permanent
        return found
    changes = sent and call.method != "GET"
    return NetworkFailure(
        call.hide(f"{_what(error)} {urlsplit(url).netloc}: {str(error) or type(error).__name__}"),
        where=str(call),
        hint="it may have taken effect, so check before you try again"
        if changes
        else "check the network and CLOUDFLARE_BASE_URL",
        sent=sent,
    )


def _what(error: Exception) -> str:
    if isinstance(
        error, httpx.ConnectError | httpx.ProxyError | httpx.UnsupportedProtocol | httpx.InvalidURL
    ):
        return "cannot connect to"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time from"
    return "the connection broke to"
