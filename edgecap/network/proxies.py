"""The proxy for a request, by one rule for all clients."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self
from urllib.parse import unquote, urlsplit

from edgecap.errors import ConfigError
from edgecap.network.bypass import Bypass

_SCHEMES = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_PORTS = {"http": 80, "https": 443}
_SUMMARY = "write http://host:port, https://host:port or socks5://host:port"
_HAS_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the variable that names it.

    Attributes:
        scheme: `http`, `https` or `socks5h`: a SOCKS proxy resolves names itself, for `socks5://` too.
        host: the proxy's name or address, as in a URL: IPv6 in brackets.
        port: the proxy's TCP port.
        variable: such as `HTTPS_PROXY`.
        user: the user to sign in as; empty if the proxy needs no sign-in.
        password: the user's password.
    """

    scheme: str
    host: str
    port: int
    variable: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str, variable: str) -> Self:
        """Parse the value of a variable.

        Raises:
            ConfigError: the value is not the URL of a proxy, or its scheme is unknown.
        """
        try:
            parts = urlsplit(text if _HAS_SCHEME.match(text) else f"http://{text}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise _wrong(variable, "is not the URL of a proxy") from None
        scheme = parts.scheme.lower()
        if scheme not in _SCHEMES:
            raise _wrong(variable, f"has the unknown scheme {scheme}://")
        # Do not repeat the URL: it may hold a password, and that may be the wrong part.
        if (
            not re.fullmatch(r"[\w.:%-]+", host)
            or parts.path not in ("", "/")
            or parts.query
            or parts.fragment
        ):
            raise _wrong(variable, "is not the URL of a proxy")
        if parts.password and not parts.username:
            # urllib3 and SOCKS cannot send it, and would drop it silently.
            raise _wrong(variable, "has a password without a user")
        return cls(
            scheme="socks5h" if scheme == "socks5" else scheme,
            host=f"[{host}]" if ":" in host else host,
            port=port or _SCHEMES[scheme],
            variable=variable,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )

    @property
    def url(self) -> str:
        """The proxy's URL, without user and password."""
        return f"{self.scheme}://{self.host}:{self.port}"

    def __str__(self) -> str:
        """Such as `http://proxy.example.net:3128 (HTTPS_PROXY)`."""
        return f"{self.url} ({self.variable})"


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies in an environment.

    Attributes:
        by_scheme: the proxies for `http` and for `https` URLs.
        bypass: the hosts that are reached without a proxy.
    """

    by_scheme: tuple[tuple[str, Proxy], ...]
    bypass: Bypass

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Read the variables. A lower-case name wins over the upper-case one, as in curl and Python.

        Raises:
            ConfigError: a variable is invalid.
        """
        names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
        return cls._parse(*(_given(environment, name) for name in names))

    @classmethod
    @lru_cache(maxsize=8)
    def _parse(cls, *given: tuple[str, str]) -> Self:
        named = {value[0].lower(): Proxy.parse(value[1], value[0]) for value in given[:3] if value[1]}
        chosen = ((scheme, named.get(f"{scheme}_proxy") or named.get("all_proxy")) for scheme in _PORTS)
        variable, hosts = given[3]
        return cls(tuple((scheme, proxy) for scheme, proxy in chosen if proxy), Bypass.parse(hosts, variable))

    def choose(self, url: str) -> Proxy | None:
        """The proxy for a URL; None if it is reached directly, or if the URL cannot be parsed."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return None  # the client reports the error
        proxy = dict(self.by_scheme).get(parts.scheme.lower())
        if proxy is None or self.bypass.covers(host, port or _PORTS[parts.scheme.lower()]):
            return None
        return proxy


def _given(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """The variable in effect, and its value; an empty lower-case one hides the upper-case one."""
    variable = name if name in environment else name.upper()
    return variable, environment.get(variable, "").strip()


def _wrong(variable: str, what: str) -> ConfigError:
    return ConfigError(f"{variable} {what}", where=variable, hint=_SUMMARY)
