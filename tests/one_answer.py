"""A server on loopback that answers every request in one way: with a portal's page, or with a refusal."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

LOOPBACK = "127.0.0.1"
# As XML it can be read, too: a parser that looks for a listing finds an empty one.
PAGE = b"<html><head><title>Welcome</title></head><body>Sign in to use this network.</body></html>"


class OneAnswer:
    """`with OneAnswer() as server:` and point the client at `server.url`.

    Args:
        status: of every answer; one of 302 leads to the same body with 200.
        body: of every answer.
        headers: of every answer.
    """

    def __init__(self, status: int = 200, body: bytes = PAGE, **headers: str) -> None:
        self.requests: list[str] = []  # method and path of each
        server = self
        self.status, self.body = status, body
        self.headers = {"content-type": "text/html; charset=utf-8"} | headers

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                server.requests.append(f"{self.command} {self.path}")
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.send_response(200 if self.path == "/sign-in" else server.status)
                for name, value in server.headers.items():
                    self.send_header(name, value)
                if server.status == 302:
                    self.send_header("location", "/sign-in")
                self.send_header("content-length", str(len(server.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(server.body)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                """Nothing: the test's own output is for the test."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self._server.server_port}"

    def __repr__(self) -> str:
        return f"<OneAnswer {self.url} {self.status} [{len(self.requests)} requests]>"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
