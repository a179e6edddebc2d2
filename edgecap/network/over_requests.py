"""requests' sessions with edgecap's rules for proxies and certificates, for Google's library."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import ProxyError, RequestException, SSLError

from edgecap.network import Proxy, check_network, proxy_for, trust
from edgecap.network.errors import REFUSED_LOGIN, diagnose, wants_login

_PROXY_TLS = "proxy_ssl_context"


class PermanentFailure(RequestException):
    """A certificate is not trusted, or the proxy wants a password. Google's library does not retry it."""


class Network(HTTPAdapter):
    """Sends each request through the proxy for its URL. The arguments are those of `HTTPAdapter`.

    Raises:
        ConfigError: a variable about proxies or certificates cannot be used.
    """

    def __init__(self, **sizes: Any) -> None:
        check_network()
        self._context = trust().context()
        super().__init__(**sizes)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Give the pool our verifying context."""
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Give the pool of a proxy the same context; the proxy may use TLS itself."""
        if proxy.startswith("https:"):
            kwargs[_PROXY_TLS] = self._context
        return super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002 - requests' signature
        """Do nothing: the certificates that requests ships are not used."""
        conn.cert_reqs = "CERT_REQUIRED"
        conn.ca_certs = conn.ca_cert_dir = None

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Give the pool of a request the same context."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._context} if host["scheme"] == "https" else {}

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send a request; the environment decides on the proxy, `proxies` is ignored."""
        proxy = proxy_for(request.url or "")
        kwargs["proxies"] = dict.fromkeys(("http", "https"), proxy_url(proxy)) if proxy else {}
        try:
            answer = super().send(request, *args, **kwargs)
            if wants_login(request.url or "", answer.status_code):
                answer.close()
                raise ProxyError(REFUSED_LOGIN, request=request)  # noqa: TRY301 - made permanent below
        except (ProxyError, SSLError) as error:
            diagnosis = diagnose(error, request.url or "")
            if diagnosis and diagnosis.permanent:
                raise PermanentFailure(str(error), request=request) from error
            raise
        return answer


def proxy_url(proxy: Proxy) -> str:
    """The URL of a proxy for urllib3, with user and password."""
    if not proxy.user:
        return proxy.url
    login = f"{quote(proxy.user, safe='')}:{quote(proxy.password, safe='')}@"
    return f"{proxy.scheme}://{login}{proxy.host}:{proxy.port}"


def mount(session: Session, **sizes: Any) -> None:
    """Send all requests of a session through `Network`. The arguments are those of `HTTPAdapter`.

    Raises:
        ConfigError: a variable about proxies or certificates cannot be used.
    """
    session.trust_env = False
    adapter = Network(**sizes)
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
