"""The slot of a lane: its holder, and freeing it when the holder is certainly gone.

A slot has a lease. A Prefect server that keeps leases in files frees the slot a minute after its holder died.
By default, leases are in memory and lost at a restart, and the slot would stay taken for ever. So the holder
also writes its name into a variable beside the slot.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from tasks.runtime.compat import last_change
from tasks.runtime.process_identity import ProcessMark, is_gone, this_process
from tasks.runtime.retry import PREFECT_AWAY, retry_prefect
from tasks.runtime.variables import read_variable, write_variable

# By then, on the server's clock, a slot's lease was renewed or is lost, and its holder has written its name.
TAKEN = timedelta(minutes=2)
RECORD_WITHIN = 30.0  # seconds; a holder that cannot write its name by then gives the slot back
_SURELY_OVER = {StateType.COMPLETED, StateType.FAILED}
_OVER = {StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED, StateType.SCHEDULED}


async def record_slot_holder(name: str, run_id: str) -> None:
    """Write down that this run holds the slot.

    Raises:
        httpx.TransportError: the server does not answer in time; the slot must be given back.
    """
    try:
        async with asyncio.timeout(RECORD_WITHIN):
            await write_variable(_holder(name), {"run": run_id, "process": str(this_process())})
    except TimeoutError:
        raise httpx.WriteTimeout("the Prefect server does not record the lane's holder in time") from None


async def leave_slot(name: str) -> bool:
    """Write down that no run holds the slot, just before it is given back.

    Returns:
        Whether that worked; if not, call `forget_slot` once the slot is free.
    """
    try:
        await write_variable(_holder(name), {})
    except PREFECT_AWAY:
        return False
    return True


async def forget_slot(name: str, run_id: str) -> None:
    """Write down, after the slot was given back, that this run does not hold it; another one may by now."""

    async def forget() -> None:
        async with get_client() as client:
            holder = await read_variable(client, _holder(name))
        if isinstance(holder, dict) and holder.get("run") == run_id:
            await write_variable(_holder(name), {})

    await retry_prefect(forget)


async def free_if_abandoned(name: str, *, myself: str = "", after: timedelta = TAKEN) -> str:
    """Free the slot if it is taken and its holder is certainly gone.

    Args:
        name: of the slot's global concurrency limit.
        myself: the flow run that wants it, and so does not hold it.
        after: how long ago it must have been taken.

    Returns:
        Why it was freed; empty if it was not.
    """
    async with get_client() as client:
        found = await _look(client, name, myself, after)
        if not found.reason or not await _claim(client, name):
            return ""
        try:
            limit = await client.read_global_concurrency_limit_by_name(name)
            if (
                last_change(limit) != found.taken
                or await read_variable(client, _holder(name)) != found.holder
            ):
                return ""
            await client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active_slots=0))
        finally:
            with suppress(PrefectHTTPStatusError, ObjectNotFound):
                await client.delete_variable_by_name(_claim_name(name))
        return found.reason


async def why_abandoned(name: str, *, after: timedelta = TAKEN) -> str:
    """Why a taken slot certainly has no holder; empty if it is free or may be held."""
    async with get_client() as client:
        return (await _look(client, name, "", after)).reason


@dataclass(frozen=True, slots=True)
class _Found:
    """A slot at one look; `reason` says why it has no holder although it is taken, or is empty."""

    reason: str = ""
    taken: datetime | None = None
    holder: object = None


async def _look(client: PrefectClient, name: str, myself: str, after: timedelta) -> _Found:
    try:
        limit = await client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        return _Found()
    taken = last_change(limit)
    if limit.active_slots < 1 or taken is None or datetime.now(UTC) - taken < after:
        return _Found()
    holder = await read_variable(client, _holder(name))
    return _Found(await _why_gone(client, holder, myself), taken, holder)


async def _why_gone(client: PrefectClient, holder: object, myself: str) -> str:
    """Why the recorded holder cannot hold the slot; empty if it may."""
    if not isinstance(holder, dict) or not holder.get("run"):
        return "no run is recorded as its holder"
    run_id = str(holder["run"])
    if run_id == myself:
        return f"run {run_id} lost it"
    mark = ProcessMark.parse(str(holder.get("process", "")))
    gone = is_gone(mark) if mark else None
    if gone:
        return f"run {run_id} held it, and its process is gone"
    try:
        run = await client.read_flow_run(UUID(run_id))
    except (ObjectNotFound, ValueError):
        return "" if gone is False else f"run {run_id} held it, and Prefect does not know that run any more"
    # The warm process outlives its runs, and may still work on one that crashed or was cancelled.
    over = _SURELY_OVER if gone is False else _OVER
    is_over = run.state is None or run.state.type in over
    return f"run {run_id} held it, and has ended" if is_over else ""


async def _claim(client: PrefectClient, name: str) -> bool:
    """Whether this process may free the slot. A second one could free a slot that is taken anew."""
    body = {"name": _claim_name(name), "value": datetime.now(UTC).isoformat()}
    try:
        await client.request("POST", "/variables/", json=body)
    except PrefectHTTPStatusError as error:
        if error.response.status_code != httpx.codes.CONFLICT:
            raise
        claimed = await read_variable(client, _claim_name(name))
        if isinstance(claimed, str) and datetime.now(UTC) - datetime.fromisoformat(claimed) > TAKEN:
            with suppress(PrefectHTTPStatusError, ObjectNotFound):  # its owner died: the next look claims it
                await client.delete_variable_by_name(_claim_name(name))
        return False
    return True


def _holder(name: str) -> str:
    return f"{name}_holder"


def _claim_name(name: str) -> str:
    return f"{name}_being_freed"
