"""Errors of a proxy or a certificate, with the variable to set."""

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
# The messages of http.client and httpcore for a refused CONNECT.
_REFUSED = re.compile(r"(?:Tunnel connection failed: |^)(?P<status>[45]\d\d)\b ?(?P<reason>[^'\")]*)")
LOGIN_WANTED = 407
REFUSED_LOGIN = f"{LOGIN_WANTED} Proxy Authentication Required"
# Classes of httpx, httpcore, urllib3, requests, botocore and PySocks, by name, to import none of them.
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
# OpenSSL's X509_V_ERR_...: the issuer is unknown or self-signed.
_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a connection failed on its way to the server.

    Attributes:
        what: what happened.
        hint: what to do.
        permanent: waiting does not help; a person has to act.
    """

    what: str
    hint: str
    permanent: bool = False


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors that it wraps, in any library's way."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(seen) < _DEEPEST:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or each in seen:
            continue
        seen.append(each)
        yield each
        # urllib3 and google-api-core keep the wrapped error in one of these attributes, requests in `args`.
        waiting += [each.__cause__, getattr(each, "reason", None), getattr(each, "cause", None)]
        waiting += [*each.args, each.__context__]


def diagnose(error: BaseException, url: str = "") -> Diagnosis | None:
    """Explain an error of any HTTP library about the proxy or a certificate; None for any other error.

    Args:
        error: the error that was raised.
        url: the URL of the request, if the error does not have it.
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
    return Diagnosis(
        f"the proxy {proxy} {verb}: {said or redact(str(causes[-1]))[:160]}",
        f"check {proxy.variable}, and that the proxy runs; NO_PROXY names hosts that need none",
    )


def _said_by_the_system(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)  # asyncio replaces `strerror` with its own text
    return ""


def _url_of(error: BaseException) -> str:
    url = getattr(error, "url", "") or getattr(getattr(error, "request", None), "url", "")
    return str(url or "")


def _not_trusted(error: ssl.SSLCertVerificationError, url: str, proxy: Proxy | None) -> Diagnosis:
    server = urlsplit(url).hostname or "the server"
    by = f", through the proxy {proxy}," if proxy else ""
    hint = "check the address, the server's certificate and this machine's clock"
    known = ""
    if error.verify_code in _UNKNOWN_ISSUER:
        hint = (
            "add its CA to the system's trust store, or set SSL_CERT_FILE to a file with the CA's certificate"
        )
        known = f" (trusted are {trust()})"
    return Diagnosis(
        f"the certificate of {server}{by} is not trusted: {error.verify_message}{known}", hint, permanent=True
    )


def wants_login(url: str, status: int) -> bool:
    """Whether the answer to a plain HTTP request comes from a proxy that wants a user and password.

    For HTTPS, the proxy refuses the CONNECT, and the library raises an error.
    """
    if status != LOGIN_WANTED or not url.lower().startswith("http:"):
        return False
    proxy = proxy_for(url)
    return proxy is not None and not proxy.scheme.startswith("socks")


def refusal(url: str, status: int, reason: str = "") -> Diagnosis | None:
    """Explain a status that a proxy answered for `url`; None if `url` takes no proxy."""
    proxy = proxy_for(url)
    if proxy is None:
        return None
    if status == LOGIN_WANTED:
        known = "does not accept the user and password" if proxy.user else "wants a user and password"
        return Diagnosis(
            f"the proxy {proxy} {known}: HTTP 407",
            f"put them into {proxy.variable}, before the host: USER:PASSWORD@{proxy.host}:{proxy.port}",
            permanent=True,
        )
    answered = f"HTTP {status} {reason}".rstrip()
    return Diagnosis(
        f"the proxy {proxy} refuses the connection to {urlsplit(url).hostname}: {answered}",
        f"ask who runs it, or check {proxy.variable}; NO_PROXY names hosts that need none",
    )
