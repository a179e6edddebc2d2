"""A running setup whose runs `benches.cost` measures."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from benches.meters import Meters, Used, resident
from benches.pace import read_pace
from benches.waiting_line import WaitingLine
from benches.world import runs
from deployments.local.setup import POOL, LocalSetup
from tasks.runtime.rest import PrefectApi

APART = 4.5  # seconds between two runs, where none waits for another
IDLE = 12.0  # seconds
_PATIENCE = 300.0  # seconds for something to happen, on a busy machine
_LOOK = 0.05  # seconds


@dataclass
class Row:
    """What one run of some kind costs, beside what the setup uses when idle.

    Attributes:
        what: the kind.
        used: by one run.
        took: seconds from its creation to its end, the median; of a turn in line, to the next one's.
        memory: most resident bytes of processes of runs while one ran.
        pace: `read_pace` just before and after, their mean.
    """

    what: str
    used: Used
    took: float = 0.0
    memory: int = 0
    pace: float = 1.0

    def times(self, other: Row) -> float:
        """How many times as much processor as the other kind this one takes, at one pace of the machine."""
        return (self.used.total / self.pace) / (other.used.total / other.pace)


@dataclass
class Bench:
    """A running setup, and what was measured."""

    setup: LocalSetup
    meters: Meters
    prefect: PrefectApi
    home: Path
    count: int
    rows: dict[str, Row] = field(default_factory=dict)
    idle: dict[int, Used] = field(default_factory=dict)
    memory: int = 0
    a_minute: float = 0.0
    _began: float = field(default_factory=time.monotonic)

    def deployment(self, name: str) -> str:
        """A deployment's id."""
        return str(self.prefect.deployment(name)["id"])

    def entries(self) -> list[float]:
        """When each capture of the archive was complete, the earliest first."""
        return sorted(
            path.stat().st_mtime for path in (self.home / "archive").glob("captures/*/*/*/*/manifest.json")
        )

    def rest(self, at_least: float = 2.0) -> None:
        """Wait until no run has a process, and the database's statistics are up to date."""
        deadline, quiet = time.monotonic() + _PATIENCE, time.monotonic()
        while time.monotonic() < min(deadline, quiet + at_least):
            if runs(self.setup):
                quiet = time.monotonic()
            time.sleep(0.2)

    def measure_idle(self, waiting: int) -> None:
        """Measure the setup with nothing to do and so many runs in line."""
        self.rest(4)
        before = self.meters.read()
        time.sleep(IDLE)
        self.idle[waiting] = self.meters.read().since(before)
        self.memory = self.memory or self.meters.memory()

    def measure(self, what: str, count: int, begin: Callable[[], list[str]], waiting: int = 0) -> Row:
        """Measure runs that all begin and end in the window."""
        self.rest()
        pace = read_pace()
        before = self.meters.read()
        with most_memory(self.setup) as memory:
            ids = begin()
            took = self._ended(ids, len(ids))
            self.rest()
        used = self.meters.read().since(before)
        return self._keep(Row(what, used, took, max(memory), (pace + read_pace()) / 2), count, waiting)

    def measure_line(self, what: str, line: WaitingLine, waiting: int, count: int) -> Row:
        """Measure turns of runs in line, each of which calls the next: from one entry to the last one."""
        self.rest()
        have, pace = len(self.entries()), read_pace()
        with most_memory(self.setup) as memory:
            line.start()
            self.until(lambda: len(self.entries()) > have)
            before, began = self.meters.read(), time.monotonic()
            self.until(lambda: len(self.entries()) > have + count)
            used, took = self.meters.read().since(before), time.monotonic() - began
        self.prefect.call("PATCH", f"/work_pools/{POOL}", json={"is_paused": True})
        self.rest(5)
        line.stop()
        self.prefect.call("PATCH", f"/work_pools/{POOL}", json={"is_paused": False})
        return self._keep(
            Row(what, used, took / count, max(memory), (pace + read_pace()) / 2), count, waiting
        )

    def _keep(self, row: Row, count: int, waiting: int) -> Row:
        """Keep what one run used beside the idle setup."""
        idle = self.idle.get(waiting, self.idle[0])
        row.used = row.used.plus(idle, -row.used.at / idle.at).per(count)
        self.rows[row.what] = row
        since = time.monotonic() - self._began
        found = f"{row.used.total:.2f} s of processor, pace {1000 * row.pace:.1f} ms"
        print(f"  {since:3.0f} s  {row.what}: {found}", flush=True)
        return row

    def _ended(self, ids: list[str], count: int) -> float:
        """Wait for the end of runs; the median of the seconds from their creation to it."""
        ended: dict[str, float] = {}
        deadline = time.monotonic() + _PATIENCE
        while len(ended) < count:
            self.rest(1)
            for run_id in set(ids) - set(ended):
                run = self.prefect.run(run_id)
                if run["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
                    if run["state"]["type"] != "COMPLETED":
                        raise SystemExit(f"a run ended {run['state']['name']}: {run['state']['message']}")
                    ended[run_id] = _moment(run["end_time"]) - _moment(run["created"])
            if time.monotonic() > deadline:
                raise SystemExit(f"only {len(ended)} of {count} runs ended in {_PATIENCE:.0f} s")
        return statistics.median(ended.values())

    def until(self, there: Callable[[], bool]) -> None:
        """Wait for something to be there."""
        deadline = time.monotonic() + _PATIENCE
        while not there():
            if time.monotonic() > deadline:
                raise SystemExit(f"nothing happened for {_PATIENCE:.0f} s; see {self.home}/logs")
            time.sleep(_LOOK)

    def one_by_one(self, deployment: str, parameters: dict[str, Any], tags: Sequence[str] = ()) -> list[str]:
        """Start runs at intervals; their ids."""
        ids = []
        for _ in range(self.count):
            ids.append(str(self.prefect.start_run(deployment, parameters, tags=list(tags))["id"]))
            time.sleep(APART)
        return ids

    def one_after_the_other(self, deployment: str, parameters: dict[str, Any], count: int) -> list[str]:
        """Start each run when the one before has ended; their ids."""
        ids = []
        for _ in range(count):
            ids.append(str(self.prefect.start_run(deployment, parameters, tags=[])["id"]))
            self._ended(ids, len(ids))
        return ids


@contextmanager
def most_memory(setup: LocalSetup) -> Iterator[list[int]]:
    """Samples of the resident bytes of the largest process of a run."""
    samples, done = [0], threading.Event()

    def sample() -> None:
        while not done.wait(0.4):
            samples.append(max(map(resident, runs(setup)), default=0))

    thread = threading.Thread(target=sample, name="memory", daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
