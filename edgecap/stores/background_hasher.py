"""Work on a stream's pieces in a second thread: hashing lets go of Python's lock, so two cores share it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue

_DEPTH = 8  # pieces that may wait: enough to smooth things, little to hold in memory


class BackgroundHasher:
    """Calls `work` with every piece, in order, in a thread of its own.

    Args:
        work: called with each piece.
    """

    def __init__(self, work: Callable[[bytes], None]) -> None:
        self._work = work
        self._waiting: Queue[bytes] = Queue(_DEPTH)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="edgecap-aside", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<BackgroundHasher [{self._waiting.qsize()} of {_DEPTH} pieces waiting]>"

    def put(self, piece: bytes) -> None:
        """Hand over the next piece, which must not be empty; waits while too many wait already."""
        self._waiting.put(piece)

    def close(self) -> None:
        """Wait until all is done. Raises what `work` raised first."""
        self._waiting.put(b"")
        self._thread.join()
        if self._error:
            raise self._error

    def _run(self) -> None:
        while piece := self._waiting.get():
            if self._error is None:
                try:
                    self._work(piece)
                except BaseException as error:  # noqa: BLE001 - it is raised by `close`
                    self._error = error
