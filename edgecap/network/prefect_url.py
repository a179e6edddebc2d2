"""The address of Prefect's API, from `PREFECT_API_URL`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from edgecap.errors import ConfigError

VARIABLE = "PREFECT_API_URL"


def prefect_api_url(environment: Mapping[str, str] = os.environ) -> str:
    """The value of `PREFECT_API_URL`; empty if it is not set.

    Raises:
        ConfigError: the value is not an `http://` or `https://` URL with a host.
    """
    url = environment.get(VARIABLE, "").strip()
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        # Do not repeat the value: it may hold a password.
        raise ConfigError(
            f"{VARIABLE} is not a valid URL", where=VARIABLE, hint="write it like http://127.0.0.1:4200/api"
        )
    return url
