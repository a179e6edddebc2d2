"""How fast an alert becomes a capture: `make bench-alerts`.

The system is warm and the clock is real. The real receiver gets alerts with different targets, one after the
other, so that the lane is free. The bench measures the time from the sending of the alert to the answer 202,
to the start of the run of `respond`, and to the request that the simulated edge accepted, by the edge's log.
For an alert that arrives while the Prefect server is away for 30 s, it measures the same from the server's
return. It also measures how long after its scheduled time a scheduled capture is accepted. At the end stands
which limits are missed.

With `--hostile 64`, so many hostile senders attack the receiver meanwhile (`benches.hostile`). Times may then
be twice as long, and no alert may be lost.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from benches.world import simulated_edge, start, write_settings
from deployments.local.processes import LOOPBACK, Program, answers, free_port
from deployments.local.setup import FORKED, LocalSetup
from deployments.project import PROJECT
from tasks.runtime.prefect_names import AUTO_SCHEDULED
from tasks.runtime.rest import PrefectApi

SECRET = "secret-of-the-bench"  # noqa: S105 - of a receiver on loopback
SPACING = 1  # seconds between two simple requests: the lane is free for each alert
EVERY = 4.0  # seconds between two alerts
AWAY = 30.0  # seconds
AHEAD = 15.0  # seconds; a schedule's runs are there long before, and workers look ten seconds ahead
SCHEDULED = 15  # runs
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "worst": 1.0}
POLICY = """
[[rules]]
name = "bench"
before = 60
after = 0
cooldown = 1
daily_budget = 100000
[rules.during]
seconds = 0
"""


def main() -> None:
    """Run the bench and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=40)
    parser.add_argument("--hostile", type=int, default=0, metavar="SENDERS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgecap-bench-") as folder:
        home, port = Path(folder), free_port()
        (home / "policy.toml").write_text(POLICY)
        with simulated_edge(home, "--simple-spacing", str(SPACING)) as account:
            more = f"""
                [timing]
                simple_spacing = {SPACING}
                [receiver]
                port = {port}
                policy = "{home / "policy.toml"}"
                [alerts.generic]
                secret = "{SECRET}"
                [alerts.pagerduty]
                secret = "{SECRET}"
            """
            env = {**write_settings(home, account, more), "EDGECAP_HOME": str(home)}
            with LocalSetup(home, env=env, warm=True) as setup:
                receiver = setup.program("receiver", *FORKED, "deployments.receiver.serve")
                start(setup)
                receiver.start()
                receiver.wait_ready(lambda: answers(port), timeout=60)
                with attacked(home, port, options.hostile):
                    measure(setup, home, f"{LOOPBACK}:{port}", options.alerts, 2 if options.hostile else 1)


@contextmanager
def attacked(home: Path, port: int, senders: int) -> Iterator[None]:
    """Let hostile senders attack the receiver meanwhile, and print what they did."""
    if not senders:
        yield
        return
    argv = [sys.executable, "-m", "benches.hostile", "--port", str(port), "--senders", str(senders)]
    hostile = Program("hostile senders", argv, log=home / "hostile.log", folder=PROJECT)
    hostile.start()
    try:
        yield
    finally:
        hostile.stop(grace=30)
        print(f"{senders} hostile senders: {hostile.last_line()}")


def measure(setup: LocalSetup, home: Path, address: str, count: int, longer: float) -> None:
    """Send alerts while everything runs, then one while the Prefect server is away.

    Args:
        setup: it runs.
        home: its folder.
        address: of the receiver.
        count: how many alerts.
        longer: by how much the limits of time are multiplied.
    """
    send(address, "192.0.2.1")  # the first one pays for what is loaded once
    time.sleep(2 * EVERY)
    sent: dict[str, tuple[float, float]] = {}
    for number in range(count):
        target = f"198.51.100.{number + 1}"
        began = time.time()
        sent[target] = (began, send(address, target))
        time.sleep(EVERY)
    time.sleep(2 * EVERY)
    runs = began_at(setup)
    posts = accepted_at(home / "edge.jsonl")
    print(f"{count} alerts on a warm system, one at a time; seconds after the alert was sent")
    print(f"{'':34}" + "".join(f"{share:>8}" for share in SHARES))
    answered = show("to the answer 202", [took for _, took in sent.values()])
    begun = show(
        "to the start of respond", [runs[target] - at for target, (at, _) in sent.items() if target in runs]
    )
    accepted = show(
        "to the capture accepted by the edge",
        [posts[target] - at for target, (at, _) in sent.items() if target in posts],
    )
    led = len(set(sent) & set(posts))
    print(f"  {led} of {count} led to a capture")
    scheduled = on_schedule(setup, home)
    back = away(setup, home, address)
    limits = [
        ("to the answer 202, p99", answered["p99"], 0.01),
        ("to the start of respond, p95", begun["p95"], 0.5),
        ("to the capture accepted, p50", accepted["p50"], 0.8),
        ("to the capture accepted, p95", accepted["p95"], 2.0),
        ("alerts that led to no capture", count - led, 0),
        ("from a schedule's time to the capture accepted, p95", scheduled["p95"], 2.0),
        ("from Prefect's return to the capture accepted", back, 5.0),
    ]
    for what, found, alone in limits:
        most = alone * longer
        # A value that could not be measured is none that was kept.
        print(f"{'kept  ' if found <= most else 'missed'}  {what}: {found:.3f}, at most {most:g}")


def on_schedule(setup: LocalSetup, home: Path) -> dict[str, float]:
    """Captures of a schedule, one at a time; returns what `show` does."""
    due: dict[str, float] = {}
    first = datetime.now(UTC) + timedelta(seconds=AHEAD)
    with PrefectApi(setup.prefect) as prefect:
        deployment = str(prefect.deployment("capture/simple-every-10-min")["id"])
        for number in range(SCHEDULED):
            target, at = f"203.0.113.{number + 1}", first + number * timedelta(seconds=EVERY)
            due[target] = at.timestamp()
            request = {"type": "simple", "filter": {"destination_address": target}}
            prefect.start_run(deployment, {"request": request}, tags=[AUTO_SCHEDULED], at=at)
    time.sleep(AHEAD + (SCHEDULED + 1) * EVERY)
    posts = accepted_at(home / "edge.jsonl")
    print(f"{SCHEDULED} captures of a schedule; seconds after their scheduled time")
    found = show(
        "to the capture accepted by the edge",
        [posts[target] - at for target, at in due.items() if target in posts],
    )
    print(f"  {len(set(due) & set(posts))} of {SCHEDULED} led to a capture")
    return found


def away(setup: LocalSetup, home: Path, address: str) -> float:
    """One alert while Prefect is down: nothing is lost. From Prefect's return to the capture, seconds."""
    assert setup.server.pid
    os.kill(setup.server.pid, signal.SIGKILL)
    target, began = "198.51.100.250", time.time()
    took = send(address, target)
    time.sleep(max(0.0, AWAY - (time.time() - began)))
    setup.server.start()
    setup.wait_for_server(timeout=120)
    back = time.time()
    deadline = back + 120
    while target not in (posts := accepted_at(home / "edge.jsonl")):
        if time.time() > deadline:
            raise SystemExit("the alert that came while Prefect was away led to no capture")
        time.sleep(0.1)
    print(
        f"Prefect away for {AWAY:.0f} s: 202 after {took * 1000:.0f} ms, capture accepted "
        f"{posts[target] - back:.2f} s after it answers again"
    )
    return posts[target] - back


def send(address: str, target: str) -> float:
    """Send an alert; return the seconds until its answer."""
    body = json.dumps({"kind": "bench", "event": "start", "id": secrets.token_hex(8), "target": target})
    headers = {"authorization": f"Bearer {SECRET}", "content-type": "application/json"}
    # A connection of its own, as senders have. httpx would load certificates for it first, for some 20 ms.
    began = time.monotonic()
    connection = HTTPConnection(address, timeout=10)
    connection.request("POST", "/alerts/generic", body, headers)
    status = connection.getresponse().status
    took = time.monotonic() - began
    connection.close()
    if status != HTTPStatus.ACCEPTED:
        raise SystemExit(f"the receiver answered {status}")
    return took


def began_at(setup: LocalSetup) -> dict[str, float]:
    """When the run of `respond` for each target began."""
    found = {}
    with PrefectApi(setup.prefect) as prefect:
        for run in prefect.tagged("alert"):
            if run["start_time"] and "alert" in run["parameters"]:
                target = run["parameters"]["alert"]["targets"][0]
                found[target] = datetime.fromisoformat(run["start_time"]).timestamp()
    return found


def accepted_at(log: Path) -> dict[str, float]:
    """When the edge accepted the capture for each target, by this machine's clock."""
    found = {}
    for line in log.read_text().splitlines():
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "request" and event["method"] == "POST" and event["outcome"] == "accepted":
            target = (event.get("body") or {}).get("filter_v1", {}).get("destination_address", "")
            if target:
                found[target] = datetime.fromisoformat(event["wall"]).timestamp()
    return found


def show(label: str, values: list[float]) -> dict[str, float]:
    """Print a row of percentiles, and return them; not a number if nothing was measured."""
    ordered = sorted(values) or [float("nan")]
    found = {
        name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in SHARES.items()
    }
    print(f"{label:34}" + "".join(f"{value:8.3f}" for value in found.values()))
    return found


if __name__ == "__main__":
    main()
