"""An HTTP server for an app that strangers may reach: it waits for none of them, and ends when told."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from deployments.receiver.senders import TrustedProxies
from edgecap.errors import SetupError

HEAD_TIME = 10.0  # seconds
LEAST = 64 << 10  # bytes of an answer that its reader must take within that time
GRACE = 3  # seconds that requests under way have when the server stops
CONNECTIONS = 512  # at a time; more are answered 503. Well below the 1024 files that a process usually has
OPEN = 384  # of them; for one more, the one that has waited longest for its sender is closed
OF_ONE = 128  # from one sender, likewise; a proxy has no such limit


class Server(uvicorn.Server):
    """Uvicorn without its own idea of signals, which would end the process by the signal again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program that runs the server."""
        yield


class Connections:
    """The open connections. Of too many, the one that has waited longest for its sender is closed.

    That is one without a request. If all have one, it is one whose body is not all there, or whose answer is
    not read.

    Args:
        most: at a time.
        of_one: at a time from one sender.
        proxies: have no such limit.
    """

    def __init__(self, most: int = OPEN, of_one: int = OF_ONE, proxies: TrustedProxies | None = None) -> None:
        self._most = most
        self._of_one = of_one
        self._proxies = proxies or TrustedProxies()
        self._open: dict[ImpatientProtocol, str] = {}  # with their shares; the last to become idle is last

    def __repr__(self) -> str:
        return f"<Connections [{len(self._open)} open]>"

    def add(self, protocol: ImpatientProtocol, peer: str) -> None:
        """Count a new connection, and close one that waits if there are too many."""
        share = self._open[protocol] = self._proxies.share(peer)
        if share and list(self._open.values()).count(share) > self._of_one:
            self._close_one(protocol, share)
        elif len(self._open) > self._most:
            self._close_one(protocol, "")

    def waits(self, protocol: ImpatientProtocol) -> None:
        """Note that a connection has no request any more."""
        if protocol in self._open:
            self._open[protocol] = self._open.pop(protocol)

    def remove(self, protocol: ImpatientProtocol) -> None:
        """Count a connection no longer."""
        self._open.pop(protocol, None)

    def _close_one(self, new: ImpatientProtocol, share: str) -> None:
        """The one that has waited longest, of one sender if it is given; the new one if none waits."""
        others = [each for each, of in self._open.items() if each is not new and of == (share or of)]
        waiting = (each for each in others if each.waits_for_sender)
        chosen = next((each for each in others if each.is_idle), None) or next(waiting, new)
        self.remove(chosen)
        chosen.transport.abort()  # to close it would wait until its answer is read


class ImpatientProtocol(H11Protocol):
    """Closes connections whose next request does not get going; uvicorn waits for half a head for ever.

    Args:
        head_time: seconds for a request's head.
        connections: all that are open.
        given: what uvicorn gives to its protocols.
    """

    def __init__(self, *, head_time: float, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._connections = connections
        self._head_time = head_time
        self._late: asyncio.TimerHandle | None = None
        self._unsent: float = math.inf  # bytes of answers at the last look

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._connections.add(self, self.client[0] if self.client else "")
        self._wait()

    @property
    def is_idle(self) -> bool:
        """Whether it has no request, or only a part of its head."""
        # mypy takes uvicorn's word that there is always a cycle; before the first request there is none.
        return self.cycle is None or self.cycle.response_complete

    @property
    def waits_for_sender(self) -> bool:
        """Whether its request is not all there, or its answer is not read."""
        return self.is_idle or self.cycle.more_body or self.flow.write_paused

    def pause_writing(self) -> None:
        """Begin to wait until its answer is read."""
        super().pause_writing()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._late:
            self._late.cancel()
        self._connections.remove(self)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._wait()
        self._connections.waits(self)
        super().on_response_complete()

    def _wait(self) -> None:
        self._unsent = math.inf
        self._look_later()

    def _look_later(self) -> None:
        if self._late:
            self._late.cancel()
        self._late = self.loop.call_later(self._head_time, self._look)

    def _look(self) -> None:
        """Close it if it is idle. An answer on its way may go on, if it is read at some speed."""
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent <= self._unsent - LEAST:
            self._unsent = unsent
            self._look_later()
        elif unsent:
            self.transport.abort()
        elif self.is_idle and not self.transport.is_closing():
            self.transport.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at an address; a free port if `port` is 0.

    Raises:
        SetupError: the port is taken, or the address is not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise _cannot(host, port, error) from None
    # With its protocol by name: asyncio switches Nagle's delay off only for sockets that say TCP, and an
    # answer in two pieces would wait 40 ms for the acknowledgement of its first.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise _cannot(host, port, error) from None
    return listener


def _cannot(host: str, port: int, error: OSError) -> SetupError:
    return SetupError(
        f"cannot listen: {error.strerror or error}",
        where=f"{host}:{port}",
        hint="stop what listens there, or give another --host or --port",
    )


def make_server(
    app: ASGIApp, *, head_time: float = HEAD_TIME, proxies: TrustedProxies | None = None
) -> Server:
    """A server for `app`, to be given its socket: `await server.serve(sockets=[listen(...)])`.

    Args:
        app: what answers.
        head_time: seconds that a request's head may take, from when its connection is free for it.
        proxies: that may have any number of connections.
    """
    connections = Connections(proxies=proxies)
    protocol = cast(
        "type[asyncio.Protocol]", partial(ImpatientProtocol, head_time=head_time, connections=connections)
    )
    return Server(
        uvicorn.Config(
            app,
            http=protocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # uvicorn would believe everybody on loopback; `senders` finds the sender
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=GRACE,
        )
    )
