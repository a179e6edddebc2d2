"""Who sent a request: the peer of its connection, or the address that a trusted proxy names.

A proxy adds the address of its own peer to the right of `X-Forwarded-For`. Anybody can send that header.
So it counts only from the proxies of the setting `receiver.trusted_proxies`, and from right to left only as
far as trusted proxies wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

FORWARDED = b"x-forwarded-for"
OF_ONE_CUSTOMER = 64  # bits; a provider gives each customer an IPv6 network of at least that size
_KEY = "edgecap.sender"  # in the scope of a request

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a request.

    Attributes:
        address: for the log.
        share: what a limit for each sender counts by: the address, of IPv6 its network of 64 bits. Empty if
            the peer may speak for many senders, so that no such limit applies.
    """

    address: str
    share: str


class TrustedProxies:
    """The proxies whose word counts.

    Without any, a peer on loopback may be a proxy that speaks for many senders, and no limit for one sender
    applies to it. With some, all other peers are senders.

    Args:
        networks: their addresses.
    """

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self._networks = tuple(networks)

    def __repr__(self) -> str:
        return f"<TrustedProxies [{', '.join(map(str, self._networks))}]>"

    def share(self, peer: str) -> str:
        """What a limit counts the connections of a peer by; empty if they may be those of many senders."""
        address = _parsed(peer)
        if address is None:
            return peer
        is_proxy = self._trusts(address) if self._networks else address.is_loopback
        return "" if is_proxy else _share(address)

    def sender(self, peer: str, forwarded: Iterable[str]) -> Sender:
        """Who sent a request.

        Args:
            peer: the address at the other end of the connection.
            forwarded: the values of all headers `X-Forwarded-For`, in their order.

        Returns:
            The address that the outermost trusted proxy names. Where one names none, or something that is
            no address, that proxy is the sender.
        """
        address = _parsed(peer)
        if address is None or not self._networks:
            return Sender(peer or "an unknown address", self.share(peer))
        hops = ",".join(forwarded).split(",")
        while self._trusts(address) and hops:
            hop = hops.pop().strip(" \t")
            named = None if "%" in hop else _parsed(hop)  # behind %, Python takes any text for a zone
            if named is None:
                break
            address = named
        return Sender(str(address), _share(address))

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


class IdentifySender:
    """An ASGI app around another, which finds out who sends each request: see `sender_of`.

    Args:
        app: the other.
        proxies: those that are trusted.
    """

    def __init__(self, app: ASGIApp, proxies: TrustedProxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http":
            peer = scope["client"][0] if scope.get("client") else ""
            forwarded = (value.decode("latin-1") for name, value in scope["headers"] if name == FORWARDED)
            scope[_KEY] = self._proxies.sender(peer, forwarded)
        await self._app(scope, receive, send)


def sender_of(request: Request) -> Sender:
    """Who sent a request that came through `IdentifySender`."""
    found = request.scope[_KEY]
    assert isinstance(found, Sender)
    return found


def _parsed(text: str) -> Address | None:
    """An address; an IPv4 address in an IPv6 socket's form counts as what it is."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _share(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((int(address), OF_ONE_CUSTOMER), strict=False))
