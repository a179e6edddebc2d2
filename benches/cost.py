"""What a capture costs: `make bench-cost`; docs/costs.md says what is measured and how.

Processor seconds by kind of process, commits and rows written, memory and time of a simple and a full
capture on a worker, with no other run in line and with many; of an alert's capture in the warm process; and,
in the same setup, of a plain Prefect flow of the same shape. At the end stands which limits are missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benches.alerts import send
from benches.calls import Call, by_kind, in_order, read_calls
from benches.cost_bench import APART, IDLE, Bench
from benches.cost_setup import ACCOUNTS, EVERY_10_MIN, NOW, UPKEEP, plain, running
from benches.meters import GROUPS, Busy, read_busy
from benches.waiting_line import WaitingLine
from deployments.local.processes import Program
from edgecap.settings import Account
from tasks.runtime.prefect_names import AUTO_SCHEDULED

SIMPLE = {"type": "simple", "time_limit": 10}
FULL = {"type": "full", "colo": "ORD", "time_limit": 2}
FULL_COUNT = 2  # each takes a dozen seconds
MANY = 200  # runs in line, from which on the idle setup is measured again

# The limits.
PROCESSOR, A_MINUTE, IN_LINE, MEMORY, SAME = 0.7, 120.0, 1.2, 450e6, 1.25


def main() -> None:
    """Run the bench and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-line", default="0,50,200,800", help="runs in line, rising")
    parser.add_argument("--full-in-line", default="0,200", help="the same for full captures; empty for none")
    parser.add_argument("--count", type=int, default=3, help="runs of each kind")
    parser.add_argument("--burst", type=int, default=60, help="simple captures at once; 0 for none")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--calls", action="store_true", help="only list the calls of three ways to a capture")
    parser.add_argument("--home", type=Path, help="folder for state and logs, to keep them")
    options = parser.parse_args()
    levels = _numbers(options.in_line)
    began = time.monotonic()
    with ExitStack() as stack:
        home = options.home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgecap-bench-")))
        bench, account, receiver = stack.enter_context(running(home, options.database, options.count))
        if options.calls:
            list_calls(bench, receiver)
            return
        measure_all(bench, account, receiver, levels, _numbers(options.full_in_line), options.burst)
        report(bench, levels, options.database)
        print(f"\nin {time.monotonic() - began:.0f} s, on {options.database}")


def _numbers(text: str) -> list[int]:
    return sorted({0, *(int(part) for part in text.split(",") if part)}) if text else []


def measure_all(
    bench: Bench, account: Account, receiver: str, levels: list[int], of_full: list[int], burst: int
) -> None:
    """Measure everything, with ever more runs in line."""
    now = bench.deployment(NOW)
    bench.measure_idle(0)
    bench.measure("plain flow", bench.count, partial(bench.one_by_one, plain(bench.prefect), {}))
    bench.measure("simple", bench.count, partial(bench.one_by_one, now, {"request": SIMPLE}))
    if of_full:
        begin = partial(bench.one_after_the_other, now, {"request": FULL}, FULL_COUNT)
        bench.measure("full", FULL_COUNT, begin)
    bench.measure("alert", bench.count, partial(alerts, bench, receiver))
    bench.measure(
        "reconcile", 1, lambda: [str(bench.prefect.start_run(bench.deployment(UPKEEP), {}, tags=[])["id"])]
    )
    if burst:
        measure_burst(bench, burst)
    lines = {
        "simple": WaitingLine(bench.prefect, "simple", account.lanes, now, SIMPLE),
        "full": WaitingLine(bench.prefect, "full", account.lanes, now, FULL),
    }
    for level in [level for level in levels if level]:
        wanted = [kind for kind in lines if kind == "simple" or level in of_full]
        for kind in wanted:
            lines[kind].fill(level + bench.count + 3)
        if level >= MANY:
            bench.measure_idle(level)
        for kind in wanted:
            count = bench.count if kind == "simple" else FULL_COUNT
            bench.measure_line(f"{kind}, {level} in line", lines[kind], level, count)


def alerts(bench: Bench, receiver: str) -> list[str]:
    """Send alerts at intervals; the ids of their runs, of `respond` and of the captures."""
    have = len(bench.entries())
    before = {run["id"] for run in bench.prefect.tagged("alert")}
    for number in range(bench.count):
        send(receiver, f"198.51.100.{have + number + 1}")
        time.sleep(APART)
    bench.until(lambda: len(bench.entries()) >= have + bench.count)
    time.sleep(2)  # the last run of `respond` sees the end of its capture
    runs = [run for run in bench.prefect.tagged("alert") if run["id"] not in before]
    return [str(run["id"]) for run in runs if run["name"].startswith("simple")]


def measure_burst(bench: Bench, burst: int) -> None:
    """Start captures of several accounts at once: how many a minute this machine takes."""
    now = bench.deployment(NOW)
    began = 0.0
    busy: list[Busy] = []

    def all_at_once() -> list[str]:
        nonlocal began
        began = time.time()  # the setup has come to rest
        busy.append(read_busy())
        return [
            str(
                bench.prefect.start_run(
                    now, {"request": SIMPLE, "account": f"a{number % ACCOUNTS}"}, tags=[]
                )["id"]
            )
            for number in range(burst)
        ]

    have = len(bench.entries())
    ended = threading.Thread(
        target=lambda: (bench.until(lambda: len(bench.entries()) >= have + burst), busy.append(read_busy())),
        name="burst",
    )
    ended.start()
    bench.measure(f"simple, {burst} at once", burst, all_at_once)
    ended.join()
    bench.a_minute = burst / (bench.entries()[-1] - began) * 60
    share = busy[-1].since(busy[0])
    print(f"    processors busy: {share.machine:.0%}; of all by the bench and its edges: {share.bench:.0%}")


def report(bench: Bench, levels: list[int], database: str) -> None:
    """Print the tables, and the limits that are missed."""
    unit = "commits" if database == "sqlite" else "commits, of reads too"
    print(f"\nprocessor seconds of one run by kind of process, {unit}, rows written; beside the idle setup\n")
    print("| | all | " + " | ".join(GROUPS) + " | times plain | commits | rows | wall s | MB | pace |")
    print("|---|" + "--:|" * (len(GROUPS) + 7))
    plain_flow = bench.rows["plain flow"]
    for row in bench.rows.values():
        used = row.used
        parts = " | ".join(f"{max(0.0, used.processor[group]):.2f}" for group in GROUPS)
        print(
            f"| {row.what} | {used.total:.2f} | {parts} | {row.times(plain_flow):.1f} | {used.commits:.0f} | "
            f"{used.rows:.0f} | {row.took:.1f} | {row.memory / 1e6:.0f} | {row.pace / plain_flow.pace:.2f} |"
        )
    print(f"\nidle for {IDLE:.0f} s\n")
    print(
        "| in line | all | " + " | ".join(GROUPS) + " | commits | rows |\n|--:|" + "--:|" * (len(GROUPS) + 3)
    )
    for level, used in bench.idle.items():
        parts = " | ".join(f"{max(0.0, used.processor[group]):.2f}" for group in GROUPS)
        print(f"| {level} | {used.total:.2f} | {parts} | {used.commits:.0f} | {used.rows:.0f} |")
    print()
    simple = bench.rows["simple"]
    limits = [
        ("processor seconds of a simple capture", simple.used.total, PROCESSOR),
        ("MB of the idle setup", bench.memory / 1e6, MEMORY / 1e6),
    ]
    for level in levels:
        if row := bench.rows.get(f"simple, {level} in line"):
            limits.append((f"times an empty line's cost, with {level} in line", row.times(simple), IN_LINE))
        if level in bench.idle and level:
            more = bench.idle[level].commits / bench.idle[0].commits
            limits.append((f"times an empty line's commits when idle, with {level} in line", more, SAME))
    for what, found, most in limits:
        print(f"{'missed' if found > most else 'kept  '}  {what}: {found:.2f}, at most {most:.2f}")
    if bench.a_minute:
        verdict = "missed" if bench.a_minute < A_MINUTE else "kept  "
        print(f"{verdict}  simple captures a minute: {bench.a_minute:.0f}, at least {A_MINUTE:.0f}")


def list_calls(bench: Bench, receiver: str) -> None:
    """Print the calls of an alert, of a capture on a worker, and of one from the command line, in order."""
    edgecap = str(Path(sys.executable).with_name("edgecap"))
    command = Program(
        "edgecap capture", [edgecap, "capture", "simple", "--seconds", "10"],
        log=bench.home / "logs" / "command.log", env=bench.setup.env, folder=bench.home,
    )  # fmt: skip
    bench.count = 1
    alerts(bench, receiver)  # the first one pays for what is loaded once, and a worker may be faster
    ways: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
        "plain flow": (partial(bench.one_by_one, plain(bench.prefect), {}), ("run", "worker")),
        "alert": (partial(alerts, bench, receiver), ("receiver", "warm process", "run", "worker")),
        "scheduled capture": (
            partial(bench.one_by_one, bench.deployment(EVERY_10_MIN), {"request": SIMPLE}, [AUTO_SCHEDULED]),
            ("run", "worker"),
        ),
        "`edgecap capture`": (partial(command.run, timeout=120), ("command line",)),
    }
    to_prefect: dict[str, list[Call]] = {}
    routine = ("get_scheduled_flow_runs", "heartbeat", "/admin/version")
    for what, (begin, processes) in ways.items():
        bench.rest(4)
        since = time.time()
        begin()
        bench.rest(6)
        calls = [
            call
            for call in read_calls(bench.home / "traces", since, time.time())
            if call.process in processes
            and not (call.process in ("worker", "receiver") and any(part in call.kind for part in routine))
        ]
        to_prefect[what] = [call for call in calls if call.is_prefect]
        print(f"\n### {what}: {len(to_prefect[what])} calls and events to Prefect\n")
        print("\n".join(in_order(calls)), flush=True)
    print("\n### By kind\n")
    print("\n".join(by_kind(to_prefect)))


if __name__ == "__main__":
    main()
