"""Telling the warm process, which stands beside the workers, of a run that is in a hurry."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from uuid import UUID

import httpx

ADDRESS = "EDGECAP_WARM_RUNNER"  # environment: where it answers, such as http://127.0.0.1:4281
MAX_WAIT_IN_PROCESS: ContextVar[float] = ContextVar("max_wait_in_process", default=0.0)
"""How many seconds a run may wait in this process; 0 if the process is the run's own."""
START_HERE: ContextVar[Callable[[UUID], bool] | None] = ContextVar("start_here", default=None)
"""In the warm process: begins to work on a run, or returns False if the process is busy. Elsewhere None."""

_TIMEOUT = 2.0  # seconds; a worker takes the run up meanwhile


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
