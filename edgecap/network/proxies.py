"""Which proxy a request takes, by one rule for all clients."""

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
    """A proxy, and which variable names it.

    Attributes:
        scheme: `http`, `https` or `socks5h`: a SOCKS proxy looks up names itself, for `socks5://` too.
        host: its name or address, as a URL has it: IPv6 in brackets.
        port: its port.
        user: what it is to be told; empty for nothing.
        password: the same.
        variable: such as `HTTPS_PROXY`.
    """

    scheme: str
    host: str
    port: int
    variable: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str, variable: str) -> Self:
        """Read the value of a variable.

        Raises:
            ConfigError: it is no URL of a proxy, or of a kind that is not known.
        """
        try:
            parts = urlsplit(text if _HAS_SCHEME.match(text) else f"http://{text}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise _wrong(variable, "is no URL of a proxy") from None
        scheme = parts.scheme.lower()
        if scheme not in _SCHEMES:
            raise _wrong(variable, f"names a proxy of a kind that is not known, {scheme}://")
        # The URL itself is not repeated: it may hold a password, and what is wrong may be just that.
        if (
            not re.fullmatch(r"[\w.:%-]+", host)
            or parts.path not in ("", "/")
            or parts.query
            or parts.fragment
        ):
            raise _wrong(variable, "is no URL of a proxy")
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
        """Where it is, without user and password."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def is_socks(self) -> bool:
        """It speaks SOCKS 5, not HTTP."""
        return self.scheme.startswith("socks")

    def __str__(self) -> str:
        """Such as `http://proxy.example.net:3128 (HTTPS_PROXY)`."""
        return f"{self.url} ({self.variable})"


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of an environment.

    Attributes:
        by_scheme: that for `http` and that for `https` URLs.
        bypass: who is reached without.
    """

    by_scheme: tuple[tuple[str, Proxy], ...]
    bypass: Bypass

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Read the variables, of which the lower-case one counts more, as for curl and Python.

        Raises:
            ConfigError: one of them cannot be used.
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
        """The proxy for a URL; None if there is none for it, or it is reached without."""
        parts = urlsplit(url)
        proxy = dict(self.by_scheme).get(parts.scheme.lower())
        if proxy is None or self.bypass.covers(
            parts.hostname or "", parts.port or _PORTS[parts.scheme.lower()]
        ):
            return None
        return proxy


def _given(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """The variable that counts and its value; an empty lower-case one hides the other."""
    variable = name if name in environment else name.upper()
    return variable, environment.get(variable, "").strip()


def _wrong(variable: str, what: str) -> ConfigError:
    return ConfigError(f"{variable} {what}", where=variable, todo=_SUMMARY)
