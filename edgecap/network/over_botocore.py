"""botocore's clients for S3 and for credentials, with edgecap's rules for proxies and certificates.

botocore reads HTTP_PROXY, NO_PROXY and AWS_CA_BUNDLE itself, by its own rules, and does not support SOCKS.
Much of what this module replaces is private in botocore, so pyproject.toml allows no untested minor version.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import botocore.session
from botocore.awsrequest import AWSConnection
from botocore.exceptions import BotoCoreError, ProxyConnectionError
from botocore.httpsession import ProxyConfiguration, URLLib3Session
from requests.utils import get_auth_from_url
from urllib3.contrib.socks import (
    SOCKSConnection,
    SOCKSHTTPConnectionPool,
    SOCKSHTTPSConnection,
    SOCKSHTTPSConnectionPool,
    SOCKSProxyManager,
)

from edgecap.network import check_network, proxy_for, trust
from edgecap.network.certificates import Authorities
from edgecap.network.errors import REFUSED_LOGIN, wants_login
from edgecap.network.over_requests import proxy_url

# botocore's types omit private names.
_ProxyConfiguration: Any = ProxyConfiguration
_URLLib3Session: Any = URLLib3Session
_AWSConnection: Any = AWSConnection


class Session(botocore.session.Session):
    """botocore's session; its clients use edgecap's rules for proxies and certificates.

    Raises:
        ConfigError: a variable about proxies or certificates cannot be used.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        check_network()  # later, botocore would report this error as one of the request
        super().__init__(*args, **kwargs)

    def create_client(self, *args: Any, **kwargs: Any) -> Any:
        """Create a client. botocore also calls this to fetch the credentials of a role.

        Raises:
            ConfigError: a variable about proxies or certificates cannot be used.
        """
        bundle = self.get_config_variable("ca_bundle")
        context = trust().context(also=Authorities("ca_bundle", Path(bundle)) if bundle else None)
        client: Any = super().create_client(*args, **kwargs)
        endpoint = client._endpoint  # noqa: SLF001 - see above
        endpoint.http_session = _HttpSession(endpoint.http_session, context)
        return client

    def _create_credential_resolver(self) -> Any:
        base: Any = super()
        resolver = base._create_credential_resolver()  # noqa: SLF001 - see above
        for provider in resolver.providers:
            # botocore queries an instance's metadata service with a separate client, which takes HTTP_PROXY.
            if fetcher := getattr(provider, "_role_fetcher", None):
                fetcher._session = _HttpSession(fetcher._session, trust().context())  # noqa: SLF001 - as above
        return resolver


def http_session_of(client: Any) -> Any:
    """What a client of `Session` sends its requests with: connections, proxies, certificates, timeouts."""
    return client._endpoint.http_session  # noqa: SLF001 - see above


class _Choice(_ProxyConfiguration):  # type: ignore[misc]
    def proxy_url_for(self, url: str) -> str | None:
        proxy = proxy_for(url)
        return proxy_url(proxy) if proxy else None


class _HttpSession(_URLLib3Session):  # type: ignore[misc]
    """botocore's HTTP session with our proxies and certificates; sizes and timeouts come from `made`."""

    def __init__(self, made: Any, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(
            max_pool_connections=made._max_pool_connections,  # noqa: SLF001 - as above
            socket_options=made._socket_options,  # noqa: SLF001 - as above
        )
        self._timeout = made._timeout  # noqa: SLF001 - as above
        self._manager.connection_pool_kw["timeout"] = self._timeout
        self._proxy_config = _Choice()

    def send(self, request: Any) -> Any:
        """Send a request; errors get the attribute `url`, as in requests."""
        try:
            answer = super().send(request)
            if wants_login(request.url, answer.status_code):
                answer.raw.close()
                refused = OSError(f"Tunnel connection failed: {REFUSED_LOGIN}")
                raise ProxyConnectionError(proxy_url=str(proxy_for(request.url)), error=refused) from refused
        except BotoCoreError as error:
            vars(error)["url"] = request.url
            raise
        return answer

    def _get_ssl_context(self) -> ssl.SSLContext:
        return self._context

    def _setup_proxy_ssl_context(self, proxy_url: str) -> ssl.SSLContext | None:
        return self._context if proxy_url.startswith("https:") else None

    def _setup_ssl_cert(self, conn: Any, url: str, verify: Any) -> None:  # noqa: ARG002 - botocore's signature
        conn.cert_reqs = "CERT_REQUIRED" if url.lower().startswith("https:") else "CERT_NONE"
        conn.ca_certs = None  # the context has them

    def _get_proxy_manager(self, proxy_url: str) -> Any:
        if proxy_url.startswith("socks") and proxy_url not in self._proxy_managers:
            user, password = get_auth_from_url(proxy_url)
            manager = SOCKSProxyManager(
                proxy_url, user or None, password or None, **self._get_pool_manager_kwargs()
            )
            manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
            self._proxy_managers[proxy_url] = manager
        return super()._get_proxy_manager(proxy_url)


class _SocksHttp(_AWSConnection, SOCKSConnection):  # type: ignore[misc]
    """Waits for `100 Continue`, as botocore's own connection does."""


class _SocksHttps(_AWSConnection, SOCKSHTTPSConnection):  # type: ignore[misc]
    """The same with TLS."""


class _HttpPool(SOCKSHTTPConnectionPool):
    ConnectionCls = _SocksHttp


class _HttpsPool(SOCKSHTTPSConnectionPool):
    ConnectionCls = _SocksHttps
