"""Logpush's rows: how long a million take, in how much memory, and how often intervals hold the truth.

Part of `make bench-analytics`. The first part makes a file of rows with the fields that
docs/network-analytics.md names, and reads it as `edgecap drops` and incidents do: sums, the packets of
dropped.pcapng, its summary. Each run is a process of its own; the best of the rounds counts. The second part
has the simulated edge push rows of attacks, and compares each estimate with the edge's truth: of each attack,
all packets, and those of each data centre, passed and dropped.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from edgecap.analytics.dropped import Dropped
from edgecap.analytics.dropped_rows import dropped_from_rows
from edgecap.analytics.logpush import Wanted
from edgecap.packets.verdict.intervals import Estimate
from edgecap.simulator.analytics.logpush import Logpush
from edgecap.simulator.analytics.sampling import Sampler
from edgecap.simulator.analytics.truth import tally
from edgecap.simulator.clock import Clock
from edgecap.simulator.log import EdgeLog
from edgecap.simulator.traffic import Attack, CountedTraffic
from edgecap.simulator.traffic.times import nanoseconds
from edgecap.simulator.variants import VARIANTS
from edgecap.stores.folder import FolderStore

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
LASTS, APART = timedelta(seconds=60), timedelta(seconds=90)
KINDS = ("syn_flood", "dns_amplification", "ntp_amplification")
ONE_IN = 20
FEW = 5  # samples that the truth leads to expect: fewer are not judged
TARGET = "203.0.113.7"
_AT_ONCE = 10_000


def write_rows(path: Path, count: int) -> None:
    """A file of rows: nine in ten are dropped, and the sample interval changes."""
    rng = Random("rows")
    networks = [(64_496 + number, f"EXAMPLE-{number}") for number in range(400)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wb", compresslevel=6) as out:
        for begin in range(0, count, _AT_ONCE):
            numbers = range(begin, min(begin + _AT_ONCE, count))
            out.writelines(json.dumps(_row(rng, networks, each, count)).encode() + b"\n" for each in numbers)


def _row(rng: Random, networks: list[tuple[int, str]], number: int, count: int) -> dict[str, object]:
    is_dropped, protocol = rng.random() < 0.9, rng.choice((6, 6, 17, 17, 17, 1, 47))
    length = rng.choice((40, 60, 468, 1052, 1500)) if protocol != 1 else 84
    network, name = rng.choice(networks)
    at = START + timedelta(seconds=600 * number / count)
    row: dict[str, object] = {
        "ColoCode": rng.choice(("ORD", "AMS", "ZRH", "FRA", "IAD", "NRT", "GRU", "SIN")),
        "Datetime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "IPSourceAddress": f"198.{rng.choice((18, 19, 51))}.{rng.randrange(256)}.{rng.randrange(256)}",
        "IPDestinationAddress": TARGET,
        "IPProtocol": protocol,
        "IPTotalLength": length,
        "IPHeaderLength": 5,
        "IPTTL": rng.randrange(40, 250),
        "IPv4Identification": rng.randrange(65_536),
        "IPFragmentOffset": 0,
        "IPMoreFragments": 0,
        "Outcome": "drop" if is_dropped else "pass",
        "SampleInterval": rng.choice((1000, 10_000)),
        "SourceASN": network,
        "SourceASNName": name,
        "SourceCountry": rng.choice(("US", "NL", "BR", "IN", "DE", "VN", "ID", "JP")),
        "MitigationSystem": "dosd" if is_dropped else "",
        "MitigationReason": "BLOCKED" if is_dropped else "",
        "RuleID": "fdfdac75430c4c47a959592f0aa5e68a" if is_dropped else "",
        "RuleName": "Generic high-volume floods" if is_dropped else "",
        "AttackID": "6e1f0a8c" if is_dropped else "",
        "AttackVector": "UDP Flood" if is_dropped else "",
        "SourcePort": rng.randrange(65_536) if protocol in (6, 17) else 0,
        "DestinationPort": {6: 443, 17: 53}.get(protocol, 0),
        "TCPFlags": 2 if protocol == 6 else 0,
        "TCPSequenceNumber": rng.randrange(1 << 32) if protocol == 6 else 0,
        "TCPDataOffset": 5 if protocol == 6 else 0,
        "TCPChecksum": rng.randrange(65_536) if protocol == 6 else 0,
        "UDPPayloadLength": length - 28 if protocol == 17 else 0,
        "UDPChecksum": rng.randrange(65_536) if protocol == 17 else 0,
        "ICMPType": 8 if protocol == 1 else 0,
        "ICMPCode": 0,
        "GREEtherType": 2048 if protocol == 47 else 0,
    }
    return row


def read_once(folder: Path) -> None:
    """Read all rows, and print the seconds and the peak of memory; in a process of its own."""
    wanted = Wanted((TARGET,), START, START + timedelta(minutes=10))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as aside:
        found = dropped_from_rows(FolderStore(folder), wanted, Path(aside) / "dropped.pcapng", now=START)
        took = time.perf_counter() - began
    assert found is not None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([took, before / 1024, peak / 1024, found.dropped.samples, found.packets]))


def measure(count: int, rounds: int) -> str:
    """Rows of one file: the seconds of the best round, and the memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / f"{START:%Y%m%d/%Y%m%dT%H%M%SZ}_{START:%Y%m%dT%H%M%SZ}_bench.log.gz"
        write_rows(path, count)
        size = path.stat().st_size
        runs = [
            json.loads(
                subprocess.run(
                    [sys.executable, "-m", "benches.analytics_rows", "--read", name],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
            )
            for _ in range(rounds)
        ]
    took, before, _, samples, packets = min(runs)
    assert samples == count
    most = max(each[2] for each in runs)
    return (
        f"{count:>9,} rows ({size / 1e6:.0f} MB packed): {took:.2f} s, "
        f"{most:.0f} MB at most ({before:.0f} MB before), {packets:,} packets written"
    )


class _Moment(Clock):
    """A clock that stands."""

    def now(self) -> datetime:
        return START


def intervals(count: int) -> tuple[list[tuple[str, bool]], int]:
    """Whether each estimate's interval holds the truth; and how many rows were pushed."""
    rng = Random("intervals")
    attacks = [
        Attack(
            KINDS[number % len(KINDS)],
            START + number * APART,
            LASTS,
            target=f"203.0.113.{100 + number % 100}",
            rate=rng.uniform(100, 2000),
        )
        for number in range(count)
    ]
    traffic = CountedTraffic(11, rate=5.0, attacks=attacks, spread=True, mitigate=True)
    until = START + count * APART + timedelta(minutes=2)
    judged: list[tuple[str, bool]] = []
    with tempfile.TemporaryDirectory() as name:
        folder, aside = Path(name, "bucket"), Path(name, "aside")
        folder.mkdir()
        aside.mkdir()
        store, clock = FolderStore(folder), _Moment()
        pushing = Logpush(
            Sampler(traffic),
            store,
            variant=VARIANTS["documented"],
            clock=clock,
            log=EdgeLog(clock),
            folder=aside,
            one_in=ONE_IN,
        )
        pushing.tick(until)
        rows = 0
        for attack in attacks:
            since = attack.start
            wanted = Wanted((attack.target,), since, since + LASTS)
            target = aside / "dropped.pcapng"
            found = dropped_from_rows(store, wanted, target, now=until)
            target.unlink(missing_ok=True)
            assert found is not None
            rows += found.dropped.samples or 0
            judged += _judged(traffic, attack, found.dropped)
    return judged, rows


def _judged(traffic: CountedTraffic, attack: Attack, dropped: Dropped) -> Iterator[tuple[str, bool]]:
    window = nanoseconds(attack.start), nanoseconds(attack.start + LASTS)
    truth = tally(traffic, *window, by=("colo", "outcome"), targets=frozenset({attack.target}))
    colos = {each.name: each for each in dropped.by("colo")}
    for outcome, whole in (("pass", dropped.passed), ("drop", dropped.dropped)):
        yield from _one("all", whole, sum(row["packets"] for row in truth if row["outcome"] == outcome))
    for row in truth:
        group = colos.get(row["colo"])
        if group is None and len(dropped.by("colo")) >= len(colos) and row["packets"] < FEW * ONE_IN:
            continue
        if group:
            estimate = group.passed if row["outcome"] == "pass" else group.dropped
            yield from _one("of a data centre", estimate, row["packets"])


def _one(what: str, estimate: Estimate, truth: int) -> Iterator[tuple[str, bool]]:
    if truth >= FEW * ONE_IN:
        yield what, estimate.low <= truth <= estimate.high


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--attacks", type=int, default=100, help="whose estimates are compared with the truth"
    )
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        read_once(given.read)
        return
    print("Logpush's rows, to dropped.pcapng, sums and summary:")
    for count in (given.rows // 5, given.rows):
        print("  " + measure(count, given.rounds))
    judged, rows = intervals(given.attacks)
    print(f"\nEstimates of {given.attacks} attacks from {rows:,} rows, and the simulated edge's truth:")
    for what in ("all", "of a data centre"):
        held = [inside for name, inside in judged if name == what]
        if held:
            share = sum(held) / len(held)
            print(f"  packets {what}: {sum(held):,} of {len(held):,} intervals hold it, {share:.1%}")
    held = [inside for _, inside in judged]
    print(f"  together: {sum(held) / len(held):.1%} (they say 95 %)")


if __name__ == "__main__":
    main()
