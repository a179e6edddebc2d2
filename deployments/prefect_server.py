"""Prefect's command line for a server on SQLite, with its garbage collected in a thread of its own.

A statement that failed leaves its cursor to Python's collector. To free it SQLite needs the connection it
came from, and that may be waiting in another thread, for up to a minute, for the database to be unlocked. In
the thread of the event loop this is a deadlock: the loop stands still, and what holds the lock can never
finish. A burst of thirty runs stopped the server for a minute at a time. A thread of its own may wait.
"""

from __future__ import annotations

import gc
import runpy
import threading
import time

_EVERY = 0.25  # seconds


def main() -> None:
    """Run the `prefect` command with the arguments of this program."""
    gc.disable()
    threading.Thread(target=_collect, name="collector", daemon=True).start()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


def _collect() -> None:
    """Collect as often as Python itself would, by its own thresholds, but never in another thread."""
    while True:
        time.sleep(_EVERY)
        counts, thresholds = gc.get_count(), gc.get_threshold()
        due = [age for age, (count, most) in enumerate(zip(counts, thresholds, strict=True)) if count > most]
        if due:
            gc.collect(max(due))


if __name__ == "__main__":
    main()
