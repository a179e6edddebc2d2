"""Hosts that are reached without a proxy: those of NO_PROXY, and always this machine."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self

from edgecap.errors import ConfigError

# A proxy on another machine cannot reach this machine's loopback, nor the metadata service of its cloud.
_LOCAL_NAMES = (
    "localhost",
    "localhost.localdomain",
    "localhost4",
    "localhost4.localdomain4",
    "localhost6",
    "localhost6.localdomain6",
    "ip6-localhost",
    "ip6-loopback",
    "metadata.google.internal",
)
# AWS (instances, pods of EKS) and Google. The IPv4 addresses are link-local.
_METADATA_IPV6 = ("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254")
ALWAYS_DIRECT = ("127.0.0.1", "::1", "169.254.169.254", *_METADATA_IPV6, *_LOCAL_NAMES)
_METADATA_ADDRESSES = frozenset(map(ip_address, _METADATA_IPV6))
# `127.1`, `0` and `2130706433` are addresses for every resolver, but not for Python's `ipaddress`.
_NUMERIC_HOST = re.compile(r"\d[0-9a-fx.]*", re.IGNORECASE)
_WITH_PORT = re.compile(r"(?P<host>\[.*\]|[^:]*):(?P<port>\d{1,5})(?P<length>/\d+)?")
_NAME = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?")
# With this prefix httpx accepts an entry that it cannot parse otherwise, such as `[::1]:80`.
_SCHEME = "all://"
_HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of NO_PROXY.

    Attributes:
        name: a host, including its subdomains. Empty for an address.
        network: the addresses, if the entry is an address or a network.
        port: only this port; any if None.
    """

    name: str = ""
    network: IPv4Network | IPv6Network | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str, variable: str) -> Self:
        """Read `example.com`, `.example.com`, `*.example.com`, `10.0.0.0/8`, `::1`, `[::1]:80` and such.

        Raises:
            ConfigError: the entry cannot be read.
        """
        rest, port = text.lower().removeprefix(_SCHEME), None
        if match := _WITH_PORT.fullmatch(rest):
            rest, port = match["host"] + (match["length"] or ""), int(match["port"])
            if not 0 < port <= _HIGHEST_PORT:
                raise _wrong(text, variable, "has an invalid port", "use a port from 1 to 65535")
        if "/" in rest:
            try:
                return cls(
                    network=ip_network(rest.replace("[", "").replace("]", ""), strict=False), port=port
                )
            except ValueError:
                raise _wrong(text, variable, "is not a valid network", "write it like 10.0.0.0/8") from None
        if (address := address_of(rest)) is not None:
            return cls(network=ip_network(address), port=port)
        name = re.sub(r"^\*?\.", "", rest)
        if not _NAME.fullmatch(name):
            raise _wrong(text, variable, "is not a host, address or network", "correct or remove it")
        return cls(name=name.rstrip("."), port=port)

    def matches(self, host: str, address: IPv4Address | IPv6Address | None, port: int | None) -> bool:
        """Whether a host, or its address, matches this entry."""
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            return address is not None and address.version == self.network.version and address in self.network
        return host == self.name or host.endswith(f".{self.name}")

    def __str__(self) -> str:
        """The entry in a form that httpx, botocore, requests and websockets parse or ignore."""
        port = "" if self.port is None else f":{self.port}"
        if self.network is None:
            return self.name + port
        host = str(self.network.network_address)
        single = self.network.prefixlen == self.network.max_prefixlen
        if not port and (single or ":" not in host):
            return host if single else str(self.network)
        host = f"[{host}]" if ":" in host else host
        return f"{_SCHEME}{host}{port}" + ("" if single else f"/{self.network.prefixlen}")


@dataclass(frozen=True, slots=True)
class Bypass:
    """The hosts in NO_PROXY.

    Attributes:
        everything: NO_PROXY contains `*`: no request takes a proxy.
        entries: the other entries.
    """

    everything: bool = False
    entries: tuple[Entry, ...] = ()

    @classmethod
    def parse(cls, text: str, variable: str = "NO_PROXY") -> Self:
        """Read a list with commas or spaces between its entries.

        Raises:
            ConfigError: an entry is not a host, an address, a network or `*`.
        """
        parts = [part for part in re.split(r"[\s,]+", text) if part]
        entries = (Entry.parse(part, variable) for part in parts if part != "*")
        return cls("*" in parts, tuple(dict.fromkeys(entries)))

    def covers(self, host: str, port: int | None) -> bool:
        """Whether `host` is reached without a proxy; names are not resolved."""
        host = host.lower().strip("[]").rstrip(".")
        address = address_of(host)
        return (
            self.everything
            or is_local(host)
            or any(entry.matches(host, address, port) for entry in self.entries)
        )

    def __str__(self) -> str:
        """A value of NO_PROXY for other programs; includes this machine's names, which edgecap implies."""
        return "*" if self.everything else ",".join(dict.fromkeys([*map(str, self.entries), *ALWAYS_DIRECT]))


def is_local(host: str) -> bool:
    """Whether a host is this machine or a metadata service; `host` is in lower case, without brackets."""
    address = address_of(host)
    if address is None:
        return host in _LOCAL_NAMES or host.endswith(".localhost")
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address in _METADATA_ADDRESSES
    )


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host denotes; None for a name. IPv4 in IPv6 becomes IPv4."""
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        if not _NUMERIC_HOST.fullmatch(host):
            return None
        try:
            return IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _wrong(text: str, variable: str, what: str, hint: str) -> ConfigError:
    return ConfigError(f"{text[:80]!r} in {variable} {what}", where=variable, hint=hint)
