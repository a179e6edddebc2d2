"""What edgecap adds to a capture on a warm worker: `make bench-overhead`.

A schedule starts simple captures at the simulated edge, on the real clock. The bench prints the median and
the worst of the runs: the seconds from the scheduled time to the accepted POST, and from the final status (by
the edge's log) to the manifest; separately the start of the run's process, which the worker's ten seconds of
prefetching hide; and the memory of a run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benches.world import MOST_RESIDENT, memory, simulated_edge, start, write_settings
from benches.world import runs as runs_of
from deployments.local.setup import LocalSetup
from tasks.runtime.rest import PrefectApi

EVERY = 20  # seconds between two runs: time for the worker to fetch the next one ahead
SPACING = 5  # seconds that the simulated edge wants between two simple requests
DEPLOYMENT = "capture/simple-every-10-min"


def main() -> None:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=6)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="edgecap-bench-") as folder:
        home = Path(folder)
        spacing = f"[timing]\nsimple_spacing = {SPACING}"
        with (
            simulated_edge(home, "--simple-spacing", str(SPACING)) as account,
            LocalSetup(home, env=write_settings(home, account, spacing)) as setup,
        ):
            start(setup)
            ids, peak = watch(setup, runs)
            report(setup, ids, home / "edge.jsonl", home / "archive", peak)


def watch(setup: LocalSetup, runs: int) -> tuple[list[str], int]:
    """Let a schedule start the runs; return their ids, and the peak of memory of one of them, in bytes."""
    with PrefectApi(setup.prefect) as prefect:
        since = datetime.now(UTC)
        deployment = prefect.deployment(DEPLOYMENT)["id"]
        first = since + timedelta(seconds=EVERY)
        prefect.add_interval_schedule(deployment, seconds=EVERY, anchor=first, slug="bench")
        deadline, peak = time.monotonic() + (runs + 4) * EVERY, 0
        while time.monotonic() < deadline:
            found = prefect.scheduled_runs(deployment, since=since)
            done = [run["id"] for run in found if run["state_type"] == "COMPLETED"]
            peak = max([peak, *(memory(pid, MOST_RESIDENT) for pid in runs_of(setup))])
            if len(done) >= runs:
                return done[:runs], peak
            time.sleep(0.5)
    raise SystemExit(f"only {len(done)} of {runs} runs ended in time")


def report(setup: LocalSetup, ids: list[str], log: Path, archive: Path, peak: int) -> None:
    """Print the runs' measurements."""
    events = [json.loads(line) for line in log.read_text().splitlines()]
    manifests = {path.parent.name.rsplit("_", 1)[1]: path for path in archive.rglob("manifest.json")}
    began, post, kept = [], [], []
    with PrefectApi(setup.prefect) as prefect:
        for run_id in ids:
            run = prefect.run(run_id)
            scheduled = datetime.fromisoformat(run["expected_start_time"])
            manifest = next(path for path in manifests.values() if run_id in path.read_text())
            capture = json.loads(manifest.read_text())["entry_id"]
            accepted = moment(
                events, lambda e, c=capture: e["event"] == "request" and e.get("capture_id") == c
            )
            final = moment(
                events, lambda e, c=capture: e.get("capture_id") == c and e.get("after") == "success"
            )
            began.append((datetime.fromisoformat(run["start_time"]) - scheduled).total_seconds())
            post.append((accepted - scheduled).total_seconds())
            kept.append(manifest.stat().st_mtime - final.timestamp())
    print(f"{'':44}{'median':>9}{'worst':>9}  (seconds, {len(ids)} runs)")
    for label, values in (
        ("schedule's time to accepted POST", post),
        ("final status to manifest", kept),
        ("  apart: schedule's time to flow's start", began),
    ):
        print(f"{label:44}{statistics.median(values):9.2f}{max(values):9.2f}")
    print(f"most memory of a run's process: {peak / 1e6:.0f} MB")


def moment(events: list[dict[str, str]], wanted: Callable[[dict[str, str]], bool]) -> datetime:
    """The time of the first such event, by this machine's clock."""
    return datetime.fromisoformat(next(event["wall"] for event in events if wanted(event)))


if __name__ == "__main__":
    main()
