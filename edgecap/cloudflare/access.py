"""Credentials and address of an account's API."""

from __future__ import annotations

import re

import httpx
from pydantic import SecretStr

from edgecap.errors import ConfigError
from edgecap.redact import redact
from edgecap.settings import Account

_IN_A_HEADER = re.compile(r"[\x21-\x7e]+")


def secret_text(value: SecretStr | None) -> str:
    """The value of a secret; empty if there is none."""
    return value.get_secret_value().strip() if value else ""


def auth_headers(account: Account) -> dict[str, str]:
    """The headers that authenticate an account.

    Raises:
        ConfigError: credentials are missing, or HTTP cannot carry them.
    """
    token, key, email = (
        secret_text(account.api_token),
        secret_text(account.api_key),
        (account.email or "").strip(),
    )
    headers = {"Authorization": f"Bearer {token}"} if token else {"X-Auth-Email": email, "X-Auth-Key": key}
    parts = [token] if token else [email, key]
    if not all(parts):
        raise ConfigError(
            "the account has no credentials",
            where=f"account {account.account_id}",
            hint="set CLOUDFLARE_API_TOKEN, or CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY",
        )
    if not all(_IN_A_HEADER.fullmatch(part) for part in parts):
        raise ConfigError(
            "the credentials hold a space, a line break or a character that HTTP cannot carry",
            where=f"account {account.account_id}",
            hint="copy CLOUDFLARE_API_TOKEN, or CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY, again",
        )
    return headers


def api_address(text: str) -> httpx.URL:
    """Parse the API's base URL.

    Raises:
        ConfigError: it is not a valid URL.
    """
    try:
        url = httpx.URL(text.strip())
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise ConfigError(
            "the API's address is not a valid URL",
            where=f"base_url {redact(text)}",
            hint="set CLOUDFLARE_BASE_URL to one such as https://api.cloudflare.com/client/v4",
        )
    return url
