"""What a running setup uses: processor time and memory by kind of process, and writes to its database."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from deployments.fork.protocol import COMMAND_NAME
from deployments.local.processes import LOOPBACK, marked
from deployments.local.setup import LocalSetup
from tests.faults.postgres import USER, Postgres, programs

GROUPS = ("server", "worker", "runs", "warm", "others", "database")
# The groups of the fork server's children, by their short names.
_FORKS = {COMMAND_NAME: "runs", "mended_worker": "worker", "warm_runner": "warm"}
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Used:
    """What was used until a moment, or, as a difference, between two.

    Attributes:
        at: seconds, from any start.
        processor: seconds by group of processes, those of ended children too.
        commits: of transactions.
        rows: inserted, updated and deleted.
    """

    at: float
    processor: dict[str, float] = field(default_factory=dict)
    commits: float = 0
    rows: float = 0

    def since(self, before: Used) -> Used:
        """What was used since then."""
        return self.plus(before, -1)

    def plus(self, other: Used, times: float) -> Used:
        """Both together, the other so many times."""
        return Used(
            self.at + times * other.at,
            {group: self.processor[group] + times * other.processor[group] for group in GROUPS},
            self.commits + times * other.commits,
            self.rows + times * other.rows,
        )

    def per(self, count: float) -> Used:
        """One part of `count` equal ones."""
        shares = {group: seconds / count for group, seconds in self.processor.items()}
        return Used(self.at / count, shares, self.commits / count, self.rows / count)

    @property
    def total(self) -> float:
        """Processor seconds of all groups."""
        return sum(self.processor.values())


@dataclass(frozen=True)
class Busy:
    """Processor seconds of this machine until a moment; or, as a difference, shares of all, 0 to 1.

    Attributes:
        all: of all processors, idle or not.
        machine: of everything that runs.
        bench: of this process, and so of the simulated edges in it.
    """

    all: float
    machine: float
    bench: float

    def since(self, before: Busy) -> Busy:
        """The shares since then."""
        all_ = self.all - before.all
        return Busy(1.0, (self.machine - before.machine) / all_, (self.bench - before.bench) / all_)


def read_busy() -> Busy:
    """What this machine has been busy for until now."""
    # user, nice, system, idle, iowait, irq, softirq, steal: the two after them are parts of user and nice
    seconds = [int(ticks) / _TICK for ticks in Path("/proc/stat").read_text().split()[1:9]]
    return Busy(sum(seconds), sum(seconds) - seconds[3] - seconds[4], time.process_time())


class Meters:
    """Reads what a setup has used so far.

    Args:
        setup: running.
        writes: tells the commits and the rows so far.
        postgres: its database; None for SQLite, which is a part of the server.
    """

    def __init__(
        self, setup: LocalSetup, writes: Callable[[], tuple[int, int]], postgres: Postgres | None = None
    ) -> None:
        self._setup = setup
        self._writes = writes
        self._postgres = postgres

    def read(self) -> Used:
        """What the setup has used until now."""
        processor = dict.fromkeys(GROUPS, 0.0)
        commits, rows = self._writes()
        for pid, group in self._groups().items():
            if times := _times(pid):
                processor[group] += times[0]
                # What a worker has waited for were runs.
                processor["runs" if group == "worker" else group] += times[1]
        return Used(time.monotonic(), processor, commits, rows)

    def memory(self) -> int:
        """Resident bytes of the whole setup, without its database server. Shared pages count once."""
        return sum(map(resident, marked(self._setup.mark)))

    def _groups(self) -> dict[int, str]:
        """The group of each process."""
        parents = {pid: _parent(pid) for pid in marked(self._setup.mark)}
        roots = {self._setup.server.pid: "server"}
        roots |= dict.fromkeys([worker.pid for worker in self._setup.workers], "worker")
        roots[self._setup.fork_server.pid] = "runs"
        if self._setup.warm_runner:
            roots[self._setup.warm_runner.pid] = "warm"
        groups = {}
        for pid, parent in parents.items():
            if pid in roots:
                groups[pid] = roots[pid]
                continue
            above = parent
            while above in parents and above not in roots:
                above = parents[above]
            group = roots.get(above, "others")
            if above == self._setup.fork_server.pid:
                group = _FORKS.get(_comm(pid), "others") if parent == above else "runs"
            groups[pid] = "runs" if roots.get(above) == "worker" else group
        if self._postgres:
            groups |= dict.fromkeys(_family(self._postgres.pid), "database")
        return groups


def postgres_writes(postgres: Postgres, name: str) -> tuple[int, int]:
    """The commits and the rows written of a database, by its own statistics. They lag by a second at most.

    Commits of transactions that only read count, too.
    """
    home = programs()
    assert home
    query = "SELECT xact_commit, tup_inserted + tup_updated + tup_deleted FROM pg_stat_database"
    done = subprocess.run(
        [
            str(home / "psql"), "-h", LOOPBACK, "-p", str(postgres.port), "-U", USER, "-Atc",
            f"{query} WHERE datname = '{name}'",
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    commits, rows = map(int, done.stdout.strip().split("|"))
    return commits, rows


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def resident(pid: int) -> int:
    """Resident bytes of a process; of pages that it shares with others, its part. 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _family(*pids: int) -> list[int]:
    """Processes and all that they started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            children.setdefault(_parent(int(entry.name)), []).append(int(entry.name))
    return list(_below(pids, children))


def _below(pids: Iterable[int], children: dict[int, list[int]]) -> Iterable[int]:
    for pid in pids:
        yield pid
        yield from _below(children.get(pid, []), children)


def _parent(pid: int) -> int:
    return int(fields[1]) if (fields := _stat(pid)) else 0


def _times(pid: int) -> tuple[float, float] | None:
    """Processor seconds of a process, and of its children that have ended; None if it has ended itself."""
    if fields := _stat(pid):
        own, ended = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
        return own / _TICK, ended / _TICK
    return None


def _stat(pid: int) -> list[str]:
    """The fields of proc(5)'s stat from the state on; empty if the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
