"""The environment of Prefect's clients and of programs that edgecap starts: this machine is reached directly.

Their libraries read the variables themselves, and each a little differently. httpx fails on `[::1]:80` in
NO_PROXY, and none of them leaves out loopback by itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgecap.network.certificates import Trust
from edgecap.network.proxies import Proxies


def network_environment(given: Mapping[str, str]) -> dict[str, str]:
    """The variables to set besides those that are `given`, so that other libraries do as our clients do.

    Raises:
        ConfigError: a variable about proxies or certificates cannot be used.
    """
    more: dict[str, str] = {}
    proxies = Proxies.read(given)
    if proxies.by_scheme:
        # Some look at the one, some at the other.
        more = dict.fromkeys(("NO_PROXY", "no_proxy"), str(proxies.bypass))
    trust = Trust.read(given)
    trust.check()
    # Prefect's client knows SSL_CERT_FILE, and else trusts a list that it brings along.
    if not given.get("PREFECT_API_SSL_CERT_FILE") and not given.get("SSL_CERT_FILE") and trust.file():
        more["PREFECT_API_SSL_CERT_FILE"] = trust.file()
    return more
