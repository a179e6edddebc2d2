"""Telling the warm process, which stands beside the workers, of a run that is in a hurry.

Workers take each run whose time comes within ten seconds. A run for the warm process is scheduled a little
later than that, so that no worker takes it first: it would start a process, for seconds. The warm process
takes it as due now. If there is no such process, or it is busy, the one who made the run does that.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx

ADDRESS = "EDGECAP_WARM_RUNNER"  # environment: where it answers, such as http://127.0.0.1:4281
MAX_WAIT_IN_PROCESS: ContextVar[float] = ContextVar("max_wait_in_process", default=0.0)
"""How many seconds a run may wait in this process; 0 if the process is the run's own."""
START_HERE: ContextVar[Callable[[UUID], bool] | None] = ContextVar("start_here", default=None)
"""In the warm process: begins to work on a run, or returns False if the process is busy. Elsewhere None."""

HEAD_START = timedelta(seconds=20)
OUT_OF_SIGHT = timedelta(seconds=12)  # workers look ten seconds ahead, and their clocks may differ
_TIMEOUT = 2.0  # seconds; a worker takes the run up meanwhile


def due() -> datetime:
    """For when a run that is due now is scheduled, aware: later, if this process knows of a warm one."""
    is_warm = START_HERE.get() or os.environ.get(ADDRESS)
    return datetime.now(UTC) + (HEAD_START if is_warm else timedelta(0))


async def tell(run_id: UUID) -> bool:
    """Tell the warm process of a run that is due now; False if there is none or it is busy. Never fails."""
    if start := START_HERE.get():
        return start(run_id)
    address = os.environ.get(ADDRESS, "")
    if not address:
        return False
    with suppress(httpx.HTTPError, httpx.InvalidURL):
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as client:
            answer = await client.post(f"{address.rstrip('/')}/runs/{run_id}")
            return answer.is_success
    return False
