"""How soon a cancel stops the full capture at Cloudflare, under load: `make bench-cancel`.

Full captures of hours are started in a terminal, on a worker and in the warm process. They are cancelled at
random moments: while they start, around the POST, and afterwards; by `edgecap cancel`, by Prefect's API as
the UI does it, and by Ctrl-C. Two busy loops for each processor run beside them. The simulated edge's log
alone tells the seconds from the cancel to the stop (or from the capture's acceptance, if that came later),
and whether a capture was left running. The exit code is 1 if one was, or if a stop took longer than
`--within` seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from benches.lanes import a_bucket
from benches.world import simulated_edge, start, write_settings
from deployments.demo.object_store import ObjectStore
from deployments.local.processes import LOOPBACK
from deployments.local.setup import LocalSetup
from edgecap.errors import SetupError
from tasks.runtime.rest import PrefectApi

EDGECAP = Path(sys.executable).with_name("edgecap")
SPEED = 5  # of the edge's clock, so that a stopped capture leaves the lane soon
SECONDS = 80_000  # of a capture, on that clock: hours
DEPLOYMENT, SCHEDULED = "capture/capture-by-program", "capture/simple-every-10-min"
REQUEST = {"type": "full", "colo": "ORD", "time_limit": SECONDS}
WAYS = [
    (where, by)
    for where, ways in {
        "terminal": ("cli", "api", "ctrl-c"),
        "worker": ("cli", "api"),
        "warm": ("cli", "api"),
    }.items()
    for by in ways
]
STARTS = 25.0  # seconds after the start within which some are cancelled
POSTS = 3.0  # seconds after the intent was journalled within which others are
RUNS = 12.0  # seconds after the acceptance within which the rest are
LATE = 60.0  # seconds after which a capture without a stop counts as left running
_PATIENCE = 240.0  # seconds for a run to start on a machine as busy as this


@dataclass(frozen=True)
class Cancel:
    """One cancel: where the run was, how it was cancelled, and what the edge's log says.

    Attributes:
        where: terminal, worker or warm.
        by: cli, api or ctrl-c.
        when: starting, posting or running.
        took: seconds to the stop; None if nothing was posted.
        left: whether the capture was left running.
    """

    where: str
    by: str
    when: str
    took: float | None
    left: bool = False


class Edge:
    """The simulated edge's log."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        """The events with a number above `since`."""
        lines = self._path.read_text().splitlines()[since:]
        return [json.loads(line) for line in lines]

    def accepted(self, since: int) -> dict[str, float]:
        """When each full capture was accepted, by id, on this machine's clock."""
        return self._full(since, lambda event: event["event"] == "state" and event.get("lane") == "taken")

    def stopped(self, since: int) -> dict[str, float]:
        """When they were asked to stop."""
        return self._full(since, lambda event: event["event"] == "stop")

    def free(self, since: int) -> dict[str, float]:
        """When they no longer held the lane."""
        return self._full(since, lambda event: event["event"] == "state" and event.get("lane") == "free")

    def _full(self, since: int, wanted: Any) -> dict[str, float]:
        return {
            event["capture_id"]: datetime.fromisoformat(event["wall"]).timestamp()
            for event in self.events(since)
            if event.get("type") == "full" and wanted(event)
        }


class Run:
    """A full capture that was started somewhere."""

    def __init__(self, setup: LocalSetup, where: str) -> None:
        self._setup = setup
        self.run_id = ""
        self._command: subprocess.Popen[str] | None = None
        if where == "terminal":
            argv = [EDGECAP, "capture", "full", "--colo", "ORD", "--seconds", str(SECONDS)]
            self._command = subprocess.Popen(
                argv,
                env={**os.environ, **setup.env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            self.said: list[str] = []
            threading.Thread(target=self._listen, daemon=True).start()
            return
        with PrefectApi(setup.prefect) as prefect:
            deployment = prefect.deployment(DEPLOYMENT)["id"]
            self.run_id = str(prefect.start_run(deployment, {"request": REQUEST}, tags=[])["id"])
        if where == "warm":
            url = f"http://{LOOPBACK}:{setup.warm_runner_port}/runs/{self.run_id}"
            httpx.post(url, timeout=30).raise_for_status()

    def _listen(self) -> None:
        assert self._command
        assert self._command.stderr
        for line in self._command.stderr:
            self.said.append(line.rstrip())
            if "Watch it at" in line:
                self.run_id = line.strip().rpartition("/")[2]

    def cancel(self, by: str) -> float:
        """Cancel it; return the time on this machine's clock."""
        asked = time.time()
        if by == "ctrl-c":
            assert self._command
            self._command.send_signal(signal.SIGINT)
        elif by == "api":
            with PrefectApi(self._setup.prefect) as prefect:
                prefect.cancel(self.run_id)
        else:
            env = {**os.environ, **self._setup.env}
            subprocess.run(
                [EDGECAP, "cancel", self.run_id], env=env, capture_output=True, check=False, timeout=300
            )
        return asked

    def end(self) -> None:
        """End the command: wait a minute for it, then kill it."""
        if self._command:
            with suppress(subprocess.TimeoutExpired):
                self._command.wait(60)
            self._command.kill()
            self._command.wait()


def main() -> None:
    """Run the bench and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cancels", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--within", type=float, default=15.0, help="seconds; the promise")
    parser.add_argument("--busy", type=int, default=2 * (os.cpu_count() or 1), help="busy loops beside it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgecap-bench-") as folder, ExitStack() as stack:
        home = Path(folder)
        objects = stack.enter_context(ObjectStore(home / "logs"))
        keys = {
            "AWS_ACCESS_KEY_ID": objects.access_key_id,
            "AWS_SECRET_ACCESS_KEY": objects.secret_access_key,
        }
        how = ["--s3-endpoint", objects.endpoint_url, "--set", "validation_takes=1", "--speed", str(SPEED)]
        account = stack.enter_context(simulated_edge(home, *how, env=keys))
        more = f"{a_bucket(objects, account)}server_speed = {SPEED}\n"
        env = {**write_settings(home, account, more), "EDGECAP_HOME": str(home)}
        setup = stack.enter_context(LocalSetup(home, env=env, warm=True, workers=2))
        start(setup)
        with PrefectApi(setup.prefect) as prefect:
            prefect.pause(SCHEDULED)
        for _ in range(options.busy):
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(busy.wait)
            stack.callback(busy.kill)
        cancels = play(setup, Edge(home / "edge.jsonl"), options.cancels, random.Random(options.seed))
    sys.exit(report(cancels, options.within, options.busy))


def play(setup: LocalSetup, edge: Edge, count: int, dice: random.Random) -> list[Cancel]:
    """Cancel `count` captures, one after the other."""
    done = []
    for number in range(count):
        where, by = WAYS[number % len(WAYS)]
        when = dice.choice(("starting", "posting", "running"))
        since, intents = len(edge.events()), count_of(setup, "intents/*")
        run = Run(setup, where)
        began = time.monotonic()
        if when == "running":
            wait_for(lambda since=since: edge.accepted(since))
            time.sleep(dice.uniform(0, RUNS))
        elif when == "posting":  # from the journalling of the intent on
            wait_for(lambda intents=intents: count_of(setup, "intents/*") > intents)
            time.sleep(dice.uniform(0, POSTS))
        else:
            time.sleep(dice.uniform(0, STARTS))
        wait_for(lambda run=run: run.run_id)
        cancel = judge(edge, since, run.cancel(by), Cancel(where, by, when, None))
        run.end()
        done.append(cancel)
        took = "nothing was posted" if cancel.took is None else f"{cancel.took:.1f} s"
        took = "LEFT RUNNING" if cancel.left else took
        print(
            f"  {number + 1:3} {where:8} {by:6} {when:8} {took} ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
        free_the_lane(setup, edge, since)
    return done


def count_of(setup: LocalSetup, what: str) -> int:
    """How many files or folders the archive has."""
    return len(list((setup.home / "archive").glob(what)))


def judge(edge: Edge, since: int, asked: float, cancel: Cancel) -> Cancel:
    """The result of a cancel by the edge's log, once it is certain."""
    until = time.time() + LATE
    while time.time() < until:
        accepted, stopped, free = edge.accepted(since), edge.stopped(since), edge.free(since)
        if accepted and set(accepted) <= set(stopped) | set(free):
            waits = [
                max(0.0, stopped[each] - max(asked, accepted[each])) for each in accepted if each in stopped
            ]
            return Cancel(cancel.where, cancel.by, cancel.when, max(waits, default=None))
        if not accepted and time.time() > asked + LATE / 2:
            return cancel
        time.sleep(0.25)
    return Cancel(cancel.where, cancel.by, cancel.when, None, left=bool(edge.accepted(since)))


def free_the_lane(setup: LocalSetup, edge: Edge, since: int) -> None:
    """Wait until no capture of this round holds the lane; stop a capture that was left running."""
    for capture_id in edge.accepted(since).keys() - edge.stopped(since).keys() - edge.free(since).keys():
        env = {**os.environ, **setup.env}
        subprocess.run([EDGECAP, "cancel", capture_id, "--yes"], env=env, check=False, timeout=300)
    wait_for(lambda: edge.accepted(since).keys() <= edge.free(since).keys())


def wait_for(what: Any) -> None:
    """Wait until something is there."""
    until = time.monotonic() + _PATIENCE
    while not what():
        if time.monotonic() > until:
            raise SetupError("the run does not start", where="the bench")
        time.sleep(0.1)


def report(cancels: list[Cancel], within: float, busy: int) -> int:
    """Print the distribution; return the exit code."""
    took = sorted(each.took for each in cancels if each.took is not None)
    left = [each for each in cancels if each.left]
    nothing = sum(each.took is None and not each.left for each in cancels)
    print(
        f"{len(cancels)} cancels at random moments, beside {busy} busy loops on {os.cpu_count()} processors"
    )
    print(f"  nothing was posted: {nothing}; left running: {len(left)}")
    if took:
        p95 = took[min(len(took) - 1, int(0.95 * len(took)))]
        print(
            f"  request to stop, of {len(took)}: {statistics.median(took):.1f} s median, {p95:.1f} s p95, "
            f"{took[-1]:.1f} s most; over {within:g} s: {sum(each > within for each in took)}"
        )
        for way, count in Counter((each.where, each.by) for each in cancels).items():
            of = sorted(
                each.took for each in cancels if (each.where, each.by) == way and each.took is not None
            )
            most = (
                f"{statistics.median(of):.1f} s median, {of[-1]:.1f} s most" if of else "nothing was posted"
            )
            print(f"  {' by '.join(way):20} {count} cancels, {most}")
    return int(bool(left) or any(each > within for each in took))


if __name__ == "__main__":
    main()
