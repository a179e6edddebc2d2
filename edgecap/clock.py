"""Clocks: one of this machine that never jumps."""

from __future__ import annotations

import time


def seconds_since_boot() -> float:
    """Seconds that never jump, and that go on while the machine is suspended."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)  # Linux's: its `time.monotonic` stands still then
    return time.monotonic() if clock is None else time.clock_gettime(clock)
