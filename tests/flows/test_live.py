"""Real packets of this machine, captured by the simulated edge and archived."""

import asyncio
import shutil
import subprocess

import pytest

from edgecap.requests import Filter, FullRequest, SimpleRequest
from flows.capture import capture
from flows.register_bucket import register_bucket

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.skipif(not shutil.which("ping"), reason="ping is not installed"),
]

PINGS = 12


async def ping(*, count=PINGS, interval=0.2):
    process = await asyncio.create_subprocess_exec(
        "ping", "-q", "-c", str(count), "-i", str(interval), "127.0.0.1", stdout=subprocess.DEVNULL
    )
    assert await process.wait() == 0


def requests_by_tshark(paths):
    """Echo requests that an independent program finds."""
    total = 0
    for path in paths:
        arguments = ["-r", path, "-Y", "icmp.type == 8", "-T", "fields", "-e", "icmp.seq"]
        total += len(subprocess.run(["tshark", *arguments], capture_output=True, check=True).stdout.split())
    return total


@pytest.mark.parametrize("world", [((), "documented", "live")], indirect=True, ids=["live"])
async def test_pings_on_lo_are_captured_as_they_happen_and_looked_back_at(world):
    """A full capture has each of the pings, a simple one afterwards looks back at them."""
    await register_bucket()
    icmp = Filter(protocol=1, destination_address="127.0.0.1")
    running = asyncio.create_task(capture(FullRequest(colo="ORD", time_limit=600, filter=icmp)))
    async with asyncio.timeout(120):
        while not any(event["after"] == "running" for event in world.edge.log.events("state")):  # noqa: ASYNC110 - another thread's
            await asyncio.sleep(0.1)
    await ping()
    [accepted] = world.posts()
    world.edge.stop(world.account_id, accepted["capture_id"])  # however long the pings took
    full = await running
    paths = sorted(world.root.rglob("*full*/raw/*.pcap"))
    assert requests_by_tshark(paths) == PINGS
    assert full.packets >= 2 * PINGS

    # Whatever else is busy on `lo` shortens what the simulated edge remembers, so these go on meanwhile.
    pings = asyncio.create_task(ping(count=200, interval=0.05))
    await asyncio.sleep(1)
    simple = await capture(SimpleRequest(time_limit=60, filter=icmp))
    pings.cancel()
    assert simple.packets >= 1
