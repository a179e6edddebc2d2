"""The way out of this machine: which proxy a request takes, and which certificates it trusts.

The only place that reads the variables about it. Every client of edgecap gets both from here: `over_httpx`
for Cloudflare's API and Prefect's, `over_botocore` for S3, `over_requests` for Google. docs/settings.md has
the rules.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from edgecap.network.certificates import Trust
from edgecap.network.proxies import Proxies, Proxy

__all__ = ["Proxy", "check_network", "proxy_for", "trust"]


def check_network(environment: Mapping[str, str] = os.environ) -> None:
    """Return if all variables about proxies and certificates can be used.

    Raises:
        ConfigError: one cannot; it is named.
    """
    Proxies.read(environment)
    Trust.read(environment).check()


def proxy_for(url: str) -> Proxy | None:
    """The proxy that a request for `url` takes; None if it goes straight.

    Raises:
        ConfigError: a variable cannot be used.
    """
    return Proxies.read(os.environ).choose(url)


def trust() -> Trust:
    """The certificates that connections of this process trust.

    Raises:
        ConfigError: a variable names something that is not there.
    """
    return Trust.read(os.environ)
