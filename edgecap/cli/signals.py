"""Clean shutdown: SIGTERM ends a command like Ctrl-C, and nothing interrupts the cleanup."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from deployments.local.processes import heed_interrupts


@contextmanager
def ending_well() -> Iterator[None]:
    """Make SIGINT and SIGTERM raise KeyboardInterrupt inside the block; ignore both after it.

    Enter it inside the block that stops programs, so that a second Ctrl-C leaves none of them running.
    """
    heed_interrupts()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature is Python's
    raise KeyboardInterrupt
