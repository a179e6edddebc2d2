"""From httpx's exceptions to the one error tree."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from edgecap.cloudflare.answers import Call
from edgecap.errors import NetworkFailure
from edgecap.network.trouble import trouble_of

# All that httpx raises; StreamError and CookieConflict stand outside its HTTPError.
HTTPX_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)

# Raised before the first byte of a request leaves: connecting, or the proxy's own handshake.
_NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)


def network_trouble(error: Exception, call: Call, url: str) -> NetworkFailure:
    """What one of `HTTPX_ERRORS` means.

    Args:
        error: what httpx raised.
        call: what was asked.
        url: where it was asked for.
    """
    sent = not isinstance(error, _NOTHING_SENT)
    if not sent and (trouble := trouble_of(error, url)):
        found = NetworkFailure(call.hide(trouble.what), where=str(call), hint=trouble.hint, sent=False)
        found.permanent = trouble.permanent
        return found
    changes = sent and call.method != "GET"
    return NetworkFailure(
        call.hide(f"{_what(error)} {urlsplit(url).netloc}: {str(error) or type(error).__name__}"),
        where=str(call),
        hint="it may have taken effect all the same, so look before trying again"
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
