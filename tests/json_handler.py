"""What servers that stand in for others have in common: they read and answer JSON."""

import json
from http.server import BaseHTTPRequestHandler


class JsonHandler(BaseHTTPRequestHandler):
    """Tests add `do_GET`, `do_POST` and so on."""

    def body(self):
        """The request's body, as bytes."""
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def say(self, answer=None, status=200):
        """Answer: bytes as they are, anything else as JSON; None is an answer without a body."""
        text = b"" if answer is None else answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Nothing: the test's own output is for the test."""
