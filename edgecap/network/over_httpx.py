"""httpx's transports with edgecap's rules for proxies and certificates."""

from __future__ import annotations

import ssl
from functools import cached_property
from typing import Generic, TypeVar

import httpx

from edgecap.network import Proxy, check_network, proxy_for, trust
from edgecap.network.certificates import Authorities
from edgecap.network.errors import REFUSED_LOGIN, wants_login

_T = TypeVar("_T", httpx.HTTPTransport, httpx.AsyncHTTPTransport)


class _Transports(Generic[_T]):
    """One of httpx's transports for each proxy used so far."""

    def __init__(self, kind: type[_T], retries: int, also: Authorities | None, verify: bool) -> None:
        check_network()
        self._kind: type[_T] = kind
        self._retries, self._also, self._verify = retries, also, verify
        self._made: dict[tuple[bool, Proxy | None], _T] = {}

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return trust().context(also=self._also)

    def choose(self, url: httpx.URL) -> _T:
        proxy = proxy_for(str(url))
        key = url.scheme == "https", proxy
        if key not in self._made:
            # Loading certificates takes a while, and plain HTTP needs none.
            self._made[key] = self._kind(
                verify=self._context if key[0] and self._verify else False,
                proxy=self._proxy(proxy) if proxy else None,
                trust_env=False,
                retries=self._retries,
            )
        return self._made[key]

    def all(self) -> list[_T]:
        return list(self._made.values())

    def _proxy(self, proxy: Proxy) -> httpx.Proxy:
        return httpx.Proxy(
            proxy.url,
            auth=(proxy.user, proxy.password) if proxy.user else None,
            ssl_context=self._context if proxy.scheme == "https" else None,
        )


class AsyncNetwork(httpx.AsyncBaseTransport):
    """Sends each request through the proxy for its URL. Raises httpx's errors.

    Args:
        retries: how often a failed connection is retried.
        also: authorities to trust in addition to those of the environment.
        verify: check certificates.

    Raises:
        ConfigError: a variable about proxies or certificates cannot be used.
    """

    def __init__(self, *, retries: int = 0, also: Authorities | None = None, verify: bool = True) -> None:
        self._transports = _Transports(httpx.AsyncHTTPTransport, retries, also, verify)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        answer = await self._transports.choose(request.url).handle_async_request(request)
        if wants_login(str(request.url), answer.status_code):
            await answer.aclose()
            raise httpx.ProxyError(REFUSED_LOGIN, request=request)
        return answer

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._transports.all():
            await transport.aclose()


class Network(httpx.BaseTransport):
    """`AsyncNetwork` without async."""

    def __init__(self, *, retries: int = 0, also: Authorities | None = None, verify: bool = True) -> None:
        self._transports = _Transports(httpx.HTTPTransport, retries, also, verify)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        answer = self._transports.choose(request.url).handle_request(request)
        if wants_login(str(request.url), answer.status_code):
            answer.close()
            raise httpx.ProxyError(REFUSED_LOGIN, request=request)
        return answer

    def close(self) -> None:
        """Close all connections."""
        for transport in self._transports.all():
            transport.close()
