"""Servers on loopback that stand in for others: one gives a test's answers, one a single answer, one none."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOOPBACK = "127.0.0.1"
# As XML it can be read, too: a parser that looks for a listing finds an empty one.
PAGE = b"<html><head><title>Welcome</title></head><body>Sign in to use this network.</body></html>"


class JsonHandler(BaseHTTPRequestHandler):
    """Reads requests and answers in JSON. Tests add `do_GET`, `do_POST` and so on."""

    def body(self):
        """The request's body, as bytes."""
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def say(self, answer=None, status=200, **headers):
        """Answer: bytes as they are, anything else as JSON; None is an answer without a body."""
        text = b"" if answer is None else answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def log_message(self, *_):
        """Nothing: the test's own output is for the test."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """A client that was killed is what some tests are about."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*_)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], port: int = 0, **attributes: Any) -> Iterator[Any]:
    """A server for `handler`, which finds it as `self.server`; it has a `url`, and these attributes."""
    with _Server((LOOPBACK, port), handler) as server:
        server.url = f"http://{LOOPBACK}:{server.server_port}"
        vars(server).update(attributes)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


class _OneAnswer(JsonHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        server = self.server
        server.requests.append(f"{self.command} {self.path}")
        self.body()
        more = {"location": "/sign-in"} if server.status == 302 else {}
        status = 200 if self.path == "/sign-in" else server.status
        self.say(server.body, status, **server.headers, **more)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer


def one_answer(status: int = 200, body: bytes = PAGE, **headers: str) -> AbstractContextManager[Any]:
    """A server that answers every request in one way: with a portal's page, or with a refusal.

    Args:
        status: of every answer; 302 leads to the same body with 200. A test may change it, and `body`.
        body: of every answer.
        headers: of every answer.

    Returns:
        The server; its `requests` are the method and the path of each.
    """
    headers = {"content-type": "text/html; charset=utf-8"} | headers
    return serving(_OneAnswer, requests=[], status=status, body=body, headers=headers)


class Silent:
    """A server that takes connections and requests, and never answers.

    Attributes:
        taken: how many connections it took.
        given_up: how many of them their clients closed.
    """

    def __init__(self):
        self.taken = 0
        self.given_up = 0
        self._open = []
        self._listener = socket.create_server((LOOPBACK, 0))
        self.url = f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self._take, daemon=True).start()
        return self

    def __exit__(self, *_):
        for each in [self._listener, *self._open]:
            with suppress(OSError):  # closed already
                each.shutdown(socket.SHUT_RDWR)  # which ends what another thread waits for; closing does not
            each.close()

    def _take(self):
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.taken += 1
                self._open.append(connection)
                threading.Thread(target=self._hear, args=(connection,), daemon=True).start()

    def _hear(self, connection):
        with suppress(OSError):
            while connection.recv(65536):
                pass
            self.given_up += 1
