"""How soon an alert is answered 202, with its bytes on disk: `make bench-receiver`.

The real receiver runs as a process, and gets alerts over several connections at a fixed rate. Each alert is a
new attack with a time at which it is due. Its latency counts from that time, so a receiver that falls behind
cannot hide it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

from benches.world import MOST_RESIDENT, memory
from deployments.local.processes import LOOPBACK, Program, answers, free_port
from deployments.project import PROJECT

SECRET = "secret-of-the-bench"  # noqa: S105 - of a receiver that lives as long as the bench
PAYLOAD = PROJECT / "tests/data/alerts/cloudflare/advanced-ddos-l4-start.json"


def main() -> None:
    """Run the bench and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=200.0, help="alerts a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgecap-bench-", dir=Path.cwd()) as folder:
        port = free_port()
        receiver = Program(
            "receiver",
            [str(Path(sys.executable).with_name("edgecap")), "receive", "--port", str(port)],
            log=Path(folder) / "receiver.log",
            env={"EDGECAP_ALERTS__CLOUDFLARE__SECRET": SECRET, "EDGECAP_HOME": folder},
            folder=PROJECT,
        )
        receiver.start()
        try:
            receiver.wait_ready(lambda: answers(port), timeout=60)
            assert receiver.pid is not None
            idle = cpu(receiver.pid)
            took, refused = asyncio.run(post_all(port, options.rate, options.seconds, options.connections))
            report(port, receiver.pid, idle, took, refused, options)
        finally:
            receiver.stop()


async def post_all(port: int, rate: float, seconds: float, connections: int) -> tuple[list[float], int]:
    """The seconds from each alert's due time to its 202, and the number of other answers."""
    template = json.loads(PAYLOAD.read_text())
    template["data"]["start_time"] = datetime.now(UTC).isoformat()
    began = time.perf_counter() + 0.5
    took: list[float] = []
    refused = 0

    async def connection(first: int) -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        for number in range(first, int(rate * seconds), connections):
            due = began + number / rate
            template["alert_correlation_id"] = f"attack-{number}"
            template["data"]["target_ip"] = f"203.{number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"
            body = json.dumps(template).encode()
            head = (
                f"POST /alerts/cloudflare HTTP/1.1\r\nhost: {LOOPBACK}\r\ncf-webhook-auth: {SECRET}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            )
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = next(
                line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:")
            )
            await reader.readexactly(int(length.partition(b":")[2]))
            if answer.startswith(b"HTTP/1.1 202 "):
                took.append(time.perf_counter() - due)
            else:
                refused += 1
        writer.close()

    await asyncio.gather(*(connection(first) for first in range(connections)))
    return took, refused


def report(
    port: int, pid: int, idle: float, took: list[float], refused: int, options: argparse.Namespace
) -> None:
    """Print the quantiles, and how far processing is behind the answers."""
    ended = time.perf_counter()
    pending = waiting(port)["pending"]
    while waiting(port)["pending"]:
        time.sleep(0.1)
    behind = time.perf_counter() - ended
    page = httpx.get(f"http://{LOOPBACK}:{port}/metrics").text
    commits = next(
        float(line.split()[1])
        for line in page.splitlines()
        if line.startswith("edgecap_alert_commit_size_count")
    )
    cuts = statistics.quantiles((1000 * each for each in took), n=100)
    print(
        f"{options.rate:g} alerts a second for {options.seconds:g} s over {options.connections} connections: "
        f"{len(took)} answered 202, {refused} otherwise"
    )
    print(
        f"  to the 202: p50 {cuts[49]:.1f} ms, p95 {cuts[94]:.1f} ms, p99 {cuts[98]:.1f} ms, "
        f"longest {1000 * max(took):.1f} ms; {len(took) / commits:.1f} alerts a commit"
    )
    print(f"  to the inbox: {pending} were not settled at the end, {behind:.1f} s later all were")
    print(
        f"  the receiver's share: {1000 * (cpu(pid) - idle) / len(took):.1f} ms of processor an alert, "
        f"up to its order; {memory(pid, MOST_RESIDENT) / 2**20:.0f} MiB of memory at most"
    )


def cpu(pid: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waiting(port: int) -> dict[str, int]:
    """The number of alerts that wait in the receiver."""
    answer: dict[str, int] = httpx.get(f"http://{LOOPBACK}:{port}/readyz").json()
    return answer


if __name__ == "__main__":
    main()
