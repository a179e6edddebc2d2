"""What is wrong between here and a server: the proxy, or a certificate. In words that name what to set."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from edgecap.network import Proxy, proxy_for, trust
from edgecap.redact import redact

_DEEPEST = 12
# As http.client and httpcore say it of an answer to CONNECT.
_REFUSED = re.compile(r"(?:Tunnel connection failed: |^)(?P<status>[45]\d\d)\b ?(?P<reason>[^'\")]*)")
_WANTS_LOGIN = 407
# Classes of httpx, httpcore, urllib3, requests, botocore and PySocks, by name: none of them is imported here.
_BY_THE_PROXY = frozenset({"ProxyError", "SOCKS5Error", "SOCKS5AuthError"})
_NOT_REACHED = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "ConnectTimeoutError",
        "EndpointConnectionError",
        "NewConnectionError",
        "ProxyConnectionError",
    }
)
# OpenSSL's X509_V_ERR_...: the issuer is not known, or signed itself.
_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happened, what a person can do, and whether a person has to."""

    what: str
    todo: str
    lasts: bool = False


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it wraps, in whatever way its library does."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(seen) < _DEEPEST:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or each in seen:
            continue
        seen.append(each)
        yield each
        # urllib3 and google-api-core keep what they wrap in attributes of these names, requests in `args`.
        waiting += [each.__cause__, getattr(each, "reason", None), getattr(each, "cause", None)]
        waiting += [*each.args, each.__context__]


def trouble_of(error: BaseException, url: str = "") -> Trouble | None:
    """What an error of any HTTP library says of the proxy or the certificates; None if it is about neither.

    Args:
        error: as it was raised.
        url: what was asked for, if the error does not say it itself.
    """
    causes = list(chain(error))
    url = url or next(filter(None, map(_url_of, causes)), "")
    proxy = proxy_for(url)
    for each in causes:
        if isinstance(each, ssl.SSLCertVerificationError):
            return _not_trusted(each, url, proxy)
    names = {type(each).__name__ for each in causes}
    if proxy is None or not names & (_BY_THE_PROXY | _NOT_REACHED):
        return None
    for each in causes:
        if match := _REFUSED.search(str(each)):
            return refusal(url, int(match["status"]), match["reason"])
    said = next(filter(None, map(_said_by_the_system, causes)), "")
    verb = "refuses the connection" if names & {"SOCKS5Error", "SOCKS5AuthError"} else "cannot be used"
    return Trouble(
        f"the proxy {proxy} {verb}: {said or redact(str(causes[-1]))[:160]}",
        f"check {proxy.variable}, and that the proxy runs; NO_PROXY names hosts that need none",
    )


def _said_by_the_system(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)  # asyncio puts a text of its own into `strerror`
    return ""


def _url_of(error: BaseException) -> str:
    url = getattr(error, "url", "") or getattr(getattr(error, "request", None), "url", "")
    return str(url or "")


def _not_trusted(error: ssl.SSLCertVerificationError, url: str, proxy: Proxy | None) -> Trouble:
    server = urlsplit(url).hostname or "the server"
    by = f", through the proxy {proxy}," if proxy else ""
    todo = "check the address, the server's certificate and this machine's clock"
    known = ""
    if error.verify_code in _UNKNOWN_ISSUER:
        todo = (
            "add its CA to the system's trust store, or set SSL_CERT_FILE to a file with the CA's certificate"
        )
        known = f" (trusted are {trust()})"
    return Trouble(
        f"the certificate of {server}{by} is not trusted: {error.verify_message}{known}", todo, lasts=True
    )


def refusal(url: str, status: int, reason: str = "") -> Trouble | None:
    """What it means that a proxy answers with this status; None if no proxy is used for `url`."""
    proxy = proxy_for(url)
    if proxy is None:
        return None
    if status == _WANTS_LOGIN:
        known = "does not accept the user and password" if proxy.user else "wants a user and password"
        return Trouble(
            f"the proxy {proxy} {known}: HTTP 407",
            f"put them into {proxy.variable}, before the host: USER:PASSWORD@{proxy.host}:{proxy.port}",
            lasts=True,
        )
    answered = f"HTTP {status} {reason}".rstrip()
    return Trouble(
        f"the proxy {proxy} refuses the connection to {urlsplit(url).hostname}: {answered}",
        f"ask who runs it, or check {proxy.variable}; NO_PROXY names hosts that need none",
    )
