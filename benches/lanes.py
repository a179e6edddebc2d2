"""How well the lanes are used, and what waiting costs: `make bench-lanes`.

The clock is real: a minute is a minute. Simple and full captures are queued at once, on several worker
processes, against the simulated edge and an S3 server. From the edge's log the bench tells which part of the
possible starts, one a minute, was used, and the gap between the end of a full capture and the start of the
next one. It also measures the processes and the memory that the queued captures hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from benches.world import memory, runs, simulated_edge, start, write_settings
from deployments.demo.object_store import ObjectStore
from deployments.local.processes import marked
from deployments.local.setup import LocalSetup
from edgecap.captures.ownership import register
from edgecap.cloudflare.client import Client
from edgecap.errors import SetupError
from edgecap.settings import Account
from edgecap.stores import open_store
from tasks.runtime.rest import PrefectApi

SPACING = 60.0  # seconds; the documented one
FULL_SECONDS = 10
DEPLOYMENT = "capture/capture-by-program"
ALSO_SCHEDULED = "capture/simple-every-10-min"  # would start captures of its own
LOOK = 2.0  # seconds
LIMIT = 2  # runs at a time in a worker: all of them start at once, and there are two processors


def main() -> None:
    """Run the bench and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--simple", type=int, default=30, help="simple captures queued at once")
    parser.add_argument("--full", type=int, default=10, help="full captures queued at once")
    parser.add_argument("--queued", type=int, default=200, help="captures queued to count what they hold")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgecap-bench-") as folder:
        home = Path(folder)
        with ObjectStore(home / "logs") as objects:
            keys = {"AWS_ACCESS_KEY_ID": objects.access_key_id}
            keys["AWS_SECRET_ACCESS_KEY"] = objects.secret_access_key
            how = ["--s3-endpoint", objects.endpoint_url, "--set", "validation_takes=1"]
            with simulated_edge(home, *how, env=keys) as account:
                env = write_settings(home, account, a_bucket(objects, account))
                with LocalSetup(home, env=env, workers=options.workers, limit=LIMIT) as setup:
                    start(setup)
                    use(setup, home / "edge.jsonl", options.simple, options.full, options.workers)
                    hold(setup, options.queued)


def a_bucket(objects: ObjectStore, account: Account) -> str:
    """A registered bucket; the settings that lead to it."""
    place = objects.place(objects.make_bucket("lanes"), "captures")

    async def registered() -> None:
        async with Client(account) as client:
            await register(client, open_store(place), place)

    asyncio.run(registered())
    return f"""
        [buckets.default]
        uri = "{place.uri}"
        endpoint_url = "{objects.endpoint_url}"
        access_key_id = "{objects.access_key_id}"
        secret_access_key = "{objects.secret_access_key}"
        [timing]
        settle = 2
    """


def queue(setup: LocalSetup, requests: list[dict[str, Any]]) -> list[str]:
    """Start a run for each request, all at once; their ids."""
    with PrefectApi(setup.prefect) as prefect:
        prefect.pause(ALSO_SCHEDULED)
        deployment = prefect.deployment(DEPLOYMENT)["id"]
        return [
            str(prefect.start_run(deployment, {"request": request}, tags=[])["id"]) for request in requests
        ]


def use(setup: LocalSetup, log: Path, simple: int, full: int, workers: int) -> None:
    """Queue captures of both kinds and state how well the lanes were used."""
    wanted = [{"type": "simple", "time_limit": 10 + n % 50} for n in range(simple)]
    wanted += [{"type": "full", "colo": "ORD", "time_limit": FULL_SECONDS}] * full
    started = time.monotonic()
    waiting = set(queue(setup, wanted))
    states: dict[str, int] = {}
    with PrefectApi(setup.prefect) as prefect:
        while waiting and time.monotonic() - started < (simple + 5) * SPACING * 1.5:
            time.sleep(LOOK)
            for run_id in list(waiting):
                with suppress(SetupError):  # it is busy; the next look tells
                    state = prefect.run(run_id)["state"]
                    if state["type"] in ("COMPLETED", "FAILED", "CANCELLED"):
                        waiting.discard(run_id)
                        states[state["type"]] = states.get(state["type"], 0) + 1
    events = [json.loads(line) for line in log.read_text().splitlines()]
    posts = [
        e
        for e in events
        if e["event"] == "request" and e["method"] == "POST" and e["path"].endswith("/pcaps")
    ]
    print(f"{simple} simple and {full} full captures queued at once, {workers} worker processes, real clock")
    print(f"  runs: {states}; requests refused by the edge: {sum(p['outcome'] != 'accepted' for p in posts)}")
    taken = {kind: moments(events, kind, "taken") for kind in ("simple", "full")}
    gaps = [b - a for a, b in zip(taken["simple"], taken["simple"][1:], strict=False)]
    if gaps:
        print(
            f"  simple lane: {len(taken['simple'])} starts, {min(gaps):.3f} to {max(gaps):.3f} s apart, "
            f"{100 * SPACING * len(gaps) / sum(gaps):.1f} % of the possible ones used"
        )
    freed = moments(events, "full", "free")
    idle = sorted(start - end for end, start in zip(freed, taken["full"][1:], strict=False))
    if idle:
        worst = idle[min(len(idle) - 1, int(0.95 * len(idle)))]
        print(
            f"  full lane: {len(taken['full'])} starts, from one's end to the next one's start "
            f"{statistics.median(idle):.2f} s median, {worst:.2f} s p95, {idle[0]:.2f} s least"
        )


def moments(events: list[dict[str, Any]], kind: str, lane: str) -> list[float]:
    """When, on the edge's clock, a lane was taken or became free."""
    return [
        datetime.fromisoformat(event["time"]).timestamp()
        for event in events
        if event["event"] == "state" and event["type"] == kind and event.get("lane") == lane
    ]


def hold(setup: LocalSetup, count: int) -> None:
    """Queue many captures, print the processes and memory that they hold while all wait, and cancel them."""
    if not count:
        return
    before = processes(setup)
    started = time.monotonic()
    ids = queue(setup, [{"type": "simple", "time_limit": 5}] * count)
    with PrefectApi(setup.prefect) as prefect:
        while time.monotonic() - started < count * 30:
            time.sleep(LOOK)
            states = [prefect.run(run_id)["state"] for run_id in ids]
            if all(state["name"] in ("WaitingForLane", "Completed") for state in states) and not runs(setup):
                break
        asleep = sum(state["name"] == "WaitingForLane" for state in states)
        took = time.monotonic() - started
        after = processes(setup)
        print(f"{count} simple captures queued at once: {asleep} wait in line after {took:.0f} s")
        print(f"  processes {len(before)} -> {len(after)}, of which runs {len(runs(setup))}")
        print(f"  memory {sum(before.values()) / 1e6:.0f} -> {sum(after.values()) / 1e6:.0f} MB")
        started = time.monotonic()
        ended = [prefect.cancel(run_id) for run_id in ids]
        took = time.monotonic() - started
        print(f"  cancelled: {ended.count('Cancelled')} ended at once, {took:.0f} s for all")


def processes(setup: LocalSetup) -> dict[int, int]:
    """The setup's processes, and the bytes of memory that each holds."""
    return {pid: memory(pid) for pid in marked(setup.mark)}


if __name__ == "__main__":
    main()
