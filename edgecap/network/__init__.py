"""The proxy that a request takes, and the CA certificates that it trusts.

Only this package reads the variables for that, for every client of edgecap: `over_httpx` for Cloudflare's API
and Prefect's, `over_botocore` for S3, `over_requests` for Google. docs/settings.md has the rules.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from edgecap.network.certificates import Trust
from edgecap.network.prefect_url import prefect_api_url
from edgecap.network.proxies import Proxies, Proxy

__all__ = ["Proxy", "check_network", "prefect_api_url", "proxy_for", "trust"]


def check_network(environment: Mapping[str, str] = os.environ) -> None:
    """Raise an error unless all variables about proxies and certificates are valid.

    Every client checks them when it is created, and every command that starts programs does so first.

    Raises:
        ConfigError: a variable cannot be used; the error names it.
    """
    Proxies.read(environment)
    Trust.read(environment).check()


def proxy_for(url: str) -> Proxy | None:
    """The proxy that a request for `url` takes; None if it is sent directly.

    Raises:
        ConfigError: a variable cannot be used.
    """
    return Proxies.read(os.environ).choose(url)


def trust() -> Trust:
    """The certificates that connections of this process trust.

    Raises:
        ConfigError: a variable names something that cannot be read.
    """
    return Trust.read(os.environ)
