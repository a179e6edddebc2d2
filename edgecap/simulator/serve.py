"""Run the simulated edge: inside a process for tests, or as a command."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import uvicorn

from edgecap.errors import SetupError
from edgecap.simulator.app import PREFIX, create_app
from edgecap.simulator.edge import Edge
from edgecap.simulator.exchange import BreakableProtocol

LOOPBACK = "127.0.0.1"
_GRACE = 3  # seconds for open calls when the server stops


class _Server(uvicorn.Server):
    """Uvicorn without its signal handling, which would end the process by the same signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class SimulatorServer:
    """The edge on a thread of this process, at a port of the loopback interface.

    ::

        with SimulatorServer(edge) as server:
            client = Cloudflare(base_url=server.base_url, ...)

    Args:
        edge: started when it is entered, closed when it is left.
        port: a free one if 0.
    """

    def __init__(self, edge: Edge, *, port: int = 0) -> None:
        self.edge = edge
        self._listener = _listen(LOOPBACK, port)
        self.port: int = self._listener.getsockname()[1]
        self._server = _server(edge)
        self._thread = threading.Thread(target=self._run, name="edge-http", daemon=True)

    def __repr__(self) -> str:
        return f"<SimulatorServer {self.base_url} {self.edge!r}>"

    @property
    def root_url(self) -> str:
        """The URL below which `/_edge/...` is."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def base_url(self) -> str:
        """The value of `CLOUDFLARE_BASE_URL` for a client."""
        return self.root_url + PREFIX

    def __enter__(self) -> Self:
        self.edge.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()
        self.edge.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._listener]))


async def serve(
    edge: Edge, *, host: str = LOOPBACK, port: int = 0, on_ready: Callable[[str], None] = lambda _: None
) -> None:
    """Serve the edge until SIGINT or SIGTERM; closes the edge at the end.

    Args:
        edge: the edge to serve.
        host: the address to listen at.
        port: a free one if 0.
        on_ready: called with the base URL as soon as calls are accepted.

    Raises:
        SetupError: the port is in use.
    """
    try:
        listener = _listen(host, port)
        server = _server(edge)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, setattr, server, "should_exit", True)
        edge.start()
        with listener:
            # The socket already listens: calls from now on are answered.
            on_ready(f"http://{_in_url(host)}:{listener.getsockname()[1]}{PREFIX}")
            await server.serve(sockets=[listener])
    finally:
        edge.close()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol given as TCP, asyncio turns Nagle's delay off: 40 ms for each answer in two pieces.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        raise SetupError(
            f"the simulator cannot listen: {error.strerror or error}",
            where=f"{host}:{port}",
            hint="stop the program that listens there, or give another port",
        ) from None
    return listener


def _server(edge: Edge) -> _Server:
    config = uvicorn.Config(
        create_app(edge),
        http=BreakableProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    return _Server(config)
