"""The environment for Prefect's clients and for the programs that edgecap starts.

Their libraries read the variables about proxies and certificates themselves, each by its own rules. httpx
fails on `[::1]:80` in NO_PROXY and does not understand networks in it, no library excludes loopback, and
Prefect's client takes one file of certificates and then trusts nothing else.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from edgecap.files.durable import explained
from edgecap.files.private_folder import private_folder
from edgecap.network.bypass import Bypass
from edgecap.network.certificates import Trust
from edgecap.network.prefect_url import prefect_api_url
from edgecap.network.proxies import Proxies

_CA_FILE = "PREFECT_API_SSL_CERT_FILE"


def network_environment(given: Mapping[str, str]) -> dict[str, str]:
    """The variables to set in addition to `given`, so that other libraries behave like edgecap's clients.

    Raises:
        ConfigError: a variable about proxies, certificates or Prefect's address is invalid.
        StoreError: the file of certificates for Prefect cannot be written.
    """
    more: dict[str, str] = {}
    proxies = Proxies.read(given)
    api_url = prefect_api_url(given)
    if proxies.by_scheme:
        hosts = ",".join(filter(None, [str(proxies.bypass), _direct_host(api_url, proxies.bypass)]))
        # Some libraries read one spelling, some the other one.
        more = dict.fromkeys(("NO_PROXY", "no_proxy"), hosts)
    trust = Trust.read(given)
    trust.check()
    if not given.get(_CA_FILE) and (file := _file_for_prefect(trust)):
        more[_CA_FILE] = file
    return more


def _direct_host(url: str, bypass: Bypass) -> str:
    """The host of `url` as a NO_PROXY entry, if only a network or a default of ours covers it; else empty."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or {"https": 443}.get(parts.scheme, 80)
    if not host or bypass.everything or not bypass.covers(host, port):
        return ""
    if bypass.covers(host, None):
        return host
    return f"all://[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _file_for_prefect(trust: Trust) -> str:
    """The path of a file with all certificates of `trust`; empty if Prefect's client finds them itself."""
    if not trust.additional and not trust.replacing and (file := trust.system_file()):
        return file
    if [each.variable for each in (*trust.replacing, *trust.additional)] == ["SSL_CERT_FILE"]:
        return ""  # Prefect reads that variable
    return str(_keep(trust.pem()))


def _keep(content: bytes) -> Path:
    """Write `content` to a file of this user. The name is its hash, so an existing file is complete."""
    file = private_folder("edgecap-certificates") / f"{hashlib.sha256(content).hexdigest()[:16]}.pem"
    with explained(file):
        try:
            os.utime(file)  # systemd removes files that were not used for ten days
        except FileNotFoundError:
            descriptor, partial = tempfile.mkstemp(dir=file.parent)
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(content)
                Path(partial).rename(file)
            except BaseException:
                Path(partial).unlink(missing_ok=True)
                raise
    return file
