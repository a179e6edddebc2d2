"""A server on loopback that takes everything and answers nothing."""

import socket
import threading
from contextlib import suppress

LOOPBACK = "127.0.0.1"


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
