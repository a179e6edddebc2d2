"""An account's lane, held through Prefect for moments: one holder at a time across all machines.

The holder reads what the last holder left in a Prefect variable, and which other runs wait.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError, concurrency
from prefect.exceptions import ObjectAlreadyExists

from edgecap.captures.admission import Lane, LaneHold
from edgecap.captures.lanes import Kind, LastSubmission
from edgecap.captures.queue import Waiter, slot_name
from edgecap.clock import seconds_since_boot
from edgecap.requests import rfc3339
from tasks.runtime.compat import is_missing, is_taken
from tasks.runtime.lane_queue import Queue
from tasks.runtime.slot_holder import forget_slot, free_if_abandoned, leave_slot, record_slot_holder
from tasks.runtime.variables import read_variable, write_variable

LEASE = 60.0  # seconds; the shortest that Prefect allows, so that a dead holder's slot comes back soon
# Seconds between two tries, growing. Prefect's own waiting sleeps for up to 30 and does not notice a release.
# Each try is a write to its database, and many at once lock it: so even the longest wait needs its jitter,
# which stamina leaves out there.
RETRY_FIRST, RETRY_MOST = 0.5, 5.0
LOOK = 15.0  # seconds of retries between two looks at whether the holder is gone


@dataclass
class Hold:
    """The lane while this process holds it."""

    variable: str
    memory: LastSubmission | None
    others: Sequence[Waiter] = field(default_factory=tuple)

    async def remember(self, memory: LastSubmission | None) -> None:
        """Leave what was done in a Prefect variable, where the next holder reads it."""
        value = {}
        if memory:
            value = {
                "capture_id": memory.capture_id,
                "submitted": rfc3339(memory.submitted),
                "urgent": memory.urgent,
            }
        await write_variable(self.variable, value)


def lane_of(lanes: str, *, myself: str) -> Lane:
    """How a flow run enters the lanes of a Cloudflare account.

    Args:
        lanes: what the account's lanes are known by (`Account.lanes`).
        myself: the flow run's id; it is not among the other waiters.
    """

    @asynccontextmanager
    async def enter(kind: Kind) -> AsyncIterator[LaneHold]:
        name = slot_name(kind, lanes)
        async with _slot(name, myself):
            async with get_client() as client:
                memory = _memory(await read_variable(client, name))
            yield Hold(name, memory, await Queue(kind, lanes).others(myself))

    return enter


async def _make(name: str) -> None:
    """Make the lane's limit."""
    async with get_client() as client:
        with suppress(ObjectAlreadyExists):  # another run has made it just now
            await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))


@asynccontextmanager
async def _slot(name: str, myself: str) -> AsyncIterator[None]:
    pause, look, has_made = RETRY_FIRST, time.monotonic() + LOOK, False
    while True:
        held = concurrency(name, strict=True, lease_duration=LEASE, max_retries=0)
        try:
            await held.__aenter__()
        except ConcurrencySlotAcquisitionError as error:
            if is_missing(error) and not has_made:
                await _make(name)
                has_made = True
                continue
            if not is_taken(error):
                raise
            if time.monotonic() > look:
                look += LOOK
                if reason := await free_if_abandoned(name, myself=myself):
                    get_run_logger().warning("The lane's slot was taken for good, and is freed: %s", reason)
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - so that not all retry at once
            pause = min(RETRY_MOST, pause * 1.5)
        else:
            break
    began, has_left = seconds_since_boot(), False
    try:
        await record_slot_holder(name, myself)
        yield
    finally:
        # Our name goes while we hold the slot: once that is free, the next holder writes its own. But a slot
        # that was taken long ago and has no name looks abandoned: then the slot is given back first.
        try:
            if seconds_since_boot() - began < LEASE:
                has_left = await leave_slot(name)
        finally:
            try:
                await held.__aexit__(None, None, None)
            finally:
                if not has_left:
                    await forget_slot(name, myself)


def _memory(value: object) -> LastSubmission | None:
    if not isinstance(value, dict):
        return None
    try:
        submitted = datetime.fromisoformat(str(value["submitted"]))
        return LastSubmission(str(value["capture_id"]), submitted, bool(value.get("urgent")))
    except (KeyError, ValueError):
        return None
