"""httpx's clients on the way that edgecap takes: `httpx.Client(transport=Network())`."""

from __future__ import annotations

import ssl
from functools import cached_property
from typing import Generic, TypeVar

import httpx

from edgecap.network import Proxy, proxy_for, trust

_T = TypeVar("_T", httpx.HTTPTransport, httpx.AsyncHTTPTransport)


class _Ways(Generic[_T]):
    """One of httpx's transports for each proxy that was taken so far."""

    def __init__(self, kind: type[_T], retries: int) -> None:
        self._kind: type[_T] = kind
        self._retries = retries
        self._made: dict[tuple[bool, Proxy | None], _T] = {}

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return trust().context()

    def choose(self, url: httpx.URL) -> _T:
        proxy = proxy_for(str(url))
        key = url.scheme == "https", proxy
        if key not in self._made:
            # Reading certificates takes a while, and what speaks plain HTTP needs none.
            self._made[key] = self._kind(
                verify=self._context if key[0] else False,
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
    """Carries requests, each through the proxy that its URL has. Raises ConfigError, besides httpx's errors.

    Args:
        retries: of connecting.
    """

    def __init__(self, *, retries: int = 0) -> None:
        self._ways = _Ways(httpx.AsyncHTTPTransport, retries)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        return await self._ways.choose(request.url).handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        for way in self._ways.all():
            await way.aclose()


class Network(httpx.BaseTransport):
    """As `AsyncNetwork`, without async."""

    def __init__(self, *, retries: int = 0) -> None:
        self._ways = _Ways(httpx.HTTPTransport, retries)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        return self._ways.choose(request.url).handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        for way in self._ways.all():
            way.close()
