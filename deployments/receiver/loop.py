"""A thread that runs a step again and again, at once when it is woken, and survives errors of a step."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from edgecap.errors import EdgecapError

FIRST, MOST = 0.2, 1.0  # seconds before a failed step is retried, doubling

_log = logging.getLogger("edgecap.receiver")


def next_pause(pause: float) -> float:
    """The pause before the next retry."""
    return min(MOST, max(FIRST, pause * 2))


class Loop:
    """Runs `step` again and again.

    Args:
        name: of the thread, and in the log.
        step: does some work, and returns the seconds to wait until the next step; `wake` cuts them short.
    """

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self._step = step
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __repr__(self) -> str:
        return f"<Loop {self._thread.name} [{'ending' if self.ending else 'running'}]>"

    @property
    def ending(self) -> bool:
        """Whether the thread was told to end; a long step checks it."""
        return self._ending.is_set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Run the next step now."""
        self._woken.set()

    def end(self, *, patience: float) -> bool:
        """Tell it to end.

        Returns:
            Whether it ended within `patience` seconds; if not, it ends with the process.
        """
        self._ending.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pause = 0.0
        while not self.ending:
            # Before the step, so that a wake during it counts.
            self._woken.clear()
            try:
                wait = self._step()
                pause = 0.0
            except Exception as error:  # noqa: BLE001 - a full disk, or a bug: it may pass
                pause = next_pause(pause)
                said = str(error) if isinstance(error, EdgecapError) else type(error).__name__
                _log.error(f"{self._thread.name}: %s; again in %.1f s", said, pause)
                self._ending.wait(pause)
            else:
                if not self.ending:
                    self._woken.wait(max(0.0, wait))
