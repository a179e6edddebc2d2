"""Hash a stream in a second thread: hashing releases Python's lock, so it uses another core."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue

_DEPTH = 8  # queued pieces: enough to even out the load, and little memory


class BackgroundHasher:
    """Calls `work` with every piece, in order, in its own thread.

    Args:
        work: called with each piece.
    """

    def __init__(self, work: Callable[[bytes], None]) -> None:
        self._work = work
        self._waiting: Queue[bytes] = Queue(_DEPTH)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="edgecap-hasher", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<BackgroundHasher [{self._waiting.qsize()} of {_DEPTH} pieces waiting]>"

    def put(self, piece: bytes) -> None:
        """Queue the next piece, which must not be empty; blocks while the queue is full."""
        self._waiting.put(piece)

    def close(self) -> None:
        """Wait until all pieces are done. Raises the first error that `work` raised."""
        self._waiting.put(b"")
        self._thread.join()
        if self._error:
            raise self._error

    def _run(self) -> None:
        while piece := self._waiting.get():
            if self._error is None:
                try:
                    self._work(piece)
                except BaseException as error:  # noqa: BLE001 - `close` raises it
                    self._error = error
