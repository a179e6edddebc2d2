"""SQLite or PostgreSQL below `edgecap up`: `make bench-database`.

Both in turn, in one run: seconds until a server with a new database answers, and with one that it knows; the
resident memory of server and database; and a burst of runs that all start at once, each with three tasks. Of
the burst are stated: seconds until the last run has ended, processor seconds of server and database, answers
other than 2xx and 404, and the events of ended runs that the server does not know a minute later.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benches.meters import resident
from deployments.local.setup import LocalSetup
from tasks.runtime.prefect_server import PrefectServer
from tests.faults.postgres import URL, Postgres

_BURST = """
import asyncio, json, sys, time
import httpx
from prefect import flow, task

refused = 0


async def count(self, request, **options):
    global refused
    response = await send(self, request, **options)
    refused += response.status_code >= 400 and response.status_code != 404
    return response


send, httpx.AsyncClient.send = httpx.AsyncClient.send, count


@task
async def step(number):
    return number


@flow
async def burst(number):
    return [await step(each) for each in range(3)]


async def main():
    states = await asyncio.gather(*(burst(n, return_state=True) for n in range(int(sys.argv[1]))))
    return sum(state.is_completed() for state in states)


began = time.monotonic()
completed = asyncio.run(main())
print(json.dumps({"seconds": time.monotonic() - began, "completed": completed, "refused": refused}))
"""


def main() -> None:
    """Run the bench and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {"SQLite": [], "PostgreSQL": []}
    with tempfile.TemporaryDirectory(prefix="edgecap-bench-") as folder, Postgres(durable=True) as postgres:
        for turn in range(given.times):
            for name, results in found.items():
                home = Path(folder, f"{name}-{turn}")
                home.mkdir()
                env = {URL: postgres.new(f"turn_{turn}")} if name == "PostgreSQL" else {}
                results.append(_measure(home, env, postgres.pid if env else 0, given.runs))
                print(f"  {name}: {results[-1]}", flush=True)
    print(f"median of {given.times}, a burst of {given.runs} runs")
    for what in found["SQLite"][0]:
        one, other = (statistics.median(each[what] for each in results) for results in found.values())
        print(
            f"{what:32} SQLite {one:10.2f}   PostgreSQL {other:10.2f}   {other / one if one else 0:.2f} times"
        )


def _measure(home: Path, env: dict[str, str], database: int, count: int) -> dict[str, float]:
    with _server(home, env) as (first, _):
        pass
    with _server(home, env) as (again, setup):
        time.sleep(10)
        idle = sum(map(resident, _family(setup.server.pid, database)))
        before = _processor(setup.server.pid, database)
        client = {
            **os.environ,
            **setup.env,
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_CLIENT_MAX_RETRIES": "30",
        }
        done = subprocess.run(
            [sys.executable, "-c", _BURST, str(count)], env=client, capture_output=True, text=True, check=True
        )
        burst = json.loads(done.stdout.splitlines()[-1])
        known = asyncio.run(_events(setup.prefect, count))
        return {
            "first start, s": first,
            "next start, s": again,
            "idle memory, MB": idle / 1e6,
            "burst, s": burst["seconds"],
            "processor, s": _processor(setup.server.pid, database) - before,
            "runs that did not complete": count - burst["completed"],
            "answers that refused": burst["refused"],
            "events missing": count - known,
        }


@contextmanager
def _server(home: Path, env: dict[str, str]) -> Iterator[tuple[float, LocalSetup]]:
    with LocalSetup(home, env=env) as setup:
        began = time.monotonic()
        setup.start_server()
        setup.wait_for_server(timeout=600)
        yield time.monotonic() - began, setup


async def _events(prefect: PrefectServer, count: int) -> int:
    """How many ends of runs the server knows, a minute after the burst at the latest."""
    body = {"filter": {"event": {"name": ["prefect.flow-run.Completed"]}}, "limit": 1}
    until = time.monotonic() + 60
    async with httpx.AsyncClient(headers=prefect.headers()) as client:
        while True:
            known = int((await client.post(f"{prefect.api_url}/events/filter", json=body)).json()["total"])
            if known >= count or time.monotonic() > until:
                return known
            await asyncio.sleep(1)


def _family(*parents: int | None) -> list[int]:
    """The processes and all that they started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid for pid in parents if pid]
    for pid in found:
        found += children.get(pid, [])
    return found


def _processor(*parents: int | None) -> float:
    """Processor seconds that they have used, with those of children that have ended."""
    ticks = sum(sum(map(int, fields[11:15])) for pid in _family(*parents) if (fields := _stat(pid)))
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of proc(5)'s stat from the state on; empty if the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


if __name__ == "__main__":
    main()
