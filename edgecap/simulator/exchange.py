"""One call of the API: request, answer, and ways to break the connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_BODY = 1 << 20
_TRANSPORT = "transport"


@dataclass
class Exchange:
    """A call and its answer.

    Attributes:
        method: the HTTP method.
        path: the path without its query.
        body: the request's body.
        received: arrival time, on the simulator's clock.
        caller: the name of the credential.
        capture_id: the capture that it is about.
        reason: why it was refused.
        limits: headers with the remaining calls.
        status: the answer's status.
        headers: the answer's headers.
        answer: the answer's body.
    """

    method: str
    path: str
    body: bytes
    received: datetime
    caller: str | None = None
    capture_id: str | None = None
    reason: str | None = None
    limits: Mapping[str, str] = field(default_factory=dict)
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    answer: bytes = b""

    def parsed(self) -> Any:
        """The request's body as JSON.

        Raises:
            ValueError: it is not JSON.
        """
        return json.loads(self.body.decode("utf-8"))

    def set_json(self, status: int, body: Any) -> None:
        """Replace the answer."""
        self.status, self.answer = status, json.dumps(body).encode()
        self.headers = [(b"content-type", b"application/json; charset=UTF-8")]

    def set_header(self, name: str, value: str) -> None:
        """Set a header of the answer."""
        key = name.lower().encode()
        self.headers = [(n, v) for n, v in self.headers if n.lower() != key]
        self.headers.append((name.encode(), value.encode("latin-1")))

    async def ask(self, app: ASGIApp, scope: Scope) -> None:
        """Let an app make the answer, and keep it."""
        scope.setdefault("state", {})["exchange"] = self
        body = self.body

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status, self.headers = message["status"], list(message["headers"])
            elif message["type"] == "http.response.body":
                self.answer += message.get("body", b"")

        await app(scope, receive, send)

    async def reply(self, send: Send, *, cut: int | None = None) -> None:
        """Send the answer, or only its first `cut` bytes with headers that announce all."""
        if self.status not in (204, 304):
            self.set_header("Content-Length", str(len(self.answer)))
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        body = self.answer if cut is None else self.answer[:cut]
        await send({"type": "http.response.body", "body": body, "more_body": cut is not None})


async def read_body(receive: Receive) -> bytes | None:
    """The request's body, at most slightly more than `MOST_BODY`; None if the client has disconnected."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if len(body) <= MOST_BODY:
            body += message.get("body", b"")
        if not message.get("more_body"):
            return body


class BreakableProtocol(H11Protocol):
    """Uvicorn's HTTP protocol, which gives the app access to the connection's transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put the transport into every request's scope."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, _TRANSPORT: transport}


async def break_connection(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """Break the connection: with a TCP reset, or by closing it after the bytes sent so far.

    Raises:
        ConnectionResetError: there is no connection, because the app is called without a server.
    """
    transport: asyncio.Transport | None = scope.get("state", {}).get(_TRANSPORT)
    if transport is None:
        raise ConnectionResetError("the simulated edge breaks the connection")
    if reset:
        connection = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    # Uvicorn would answer 500 if the app returned before Uvicorn sees the disconnect.
    while (await receive())["type"] != "http.disconnect":
        pass
