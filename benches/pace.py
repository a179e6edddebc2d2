"""How fast this machine is now. A virtual machine can be half again as fast at one hour as at another."""

from __future__ import annotations

import json
import statistics
import time

_TRIES = 9
_RECORDS = [{"id": f"{number:08x}", "values": list(range(number % 17))} for number in range(400)]


def read_pace() -> float:
    """Processor seconds that a fixed piece of Python's work takes now, the median of a few tries."""
    return statistics.median(_once() for _ in range(_TRIES))


def _once() -> float:
    began = time.thread_time()
    for _ in range(10):
        found = {record["id"]: sum(record["values"]) for record in json.loads(json.dumps(_RECORDS))}
        sorted(found.items(), key=lambda item: item[1])
    return time.thread_time() - began
