"""How long filters are looked for, and tried on all packets: `make bench-propose`.

The bench makes two files of as many packets: usual traffic, and usual traffic with a mixed attack (a SYN
flood, NTP answers, a UDP flood with one payload). It then back-tests: it counts what filters match of every
packet of a file. Last it runs the whole command. Each result is the best of the rounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import numpy as np

from benches.packets import run
from edgecap.proposals.backtest import Trial, count_attack, count_baseline
from edgecap.proposals.capture_source import CaptureSource
from edgecap.proposals.traffic_filter import Field, Flags, Networks, TrafficFilter, Values
from edgecap.proposals.vector import Vector

EDGECAP = str(Path(sys.executable).with_name("edgecap"))
START = 1_795_000_000
CHUNK = 1_000_000
LONG = 60  # bytes of a frame, as the shortest ones of Ethernet
RECORD = np.dtype(
    [
        ("seconds", "<u4"),
        ("fraction", "<u4"),
        ("captured", "<u4"),
        ("wire", "<u4"),
        ("ethernet", "u1", (12,)),
        ("type", ">u2"),
        ("first", "u1", (2,)),
        ("length", ">u2"),
        ("ident", ">u2"),
        ("fragment", ">u2"),
        ("ttl", "u1"),
        ("protocol", "u1"),
        ("checksum", ">u2"),
        ("source", ">u4"),
        ("destination", ">u4"),
        ("source_port", ">u2"),
        ("destination_port", ">u2"),
        ("sequence", ">u4"),
        ("acknowledged", ">u4"),
        ("offset", "u1"),
        ("flags", "u1"),
        ("window", ">u2"),
        ("rest", "u1", (10,)),
    ]
)
TARGET = 0xCB007107  # 203.0.113.7
HEADER = bytes.fromhex("d4c3b2a1020004000000000000000000000004000100" + "0000")


def main() -> None:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where there is room for two files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgecap-bench-", dir=options.folder) as folder:
        usual, attack = Path(folder) / "usual.pcap", Path(folder) / "attack.pcap"
        write(usual, options.packets, attacked=False)
        write(attack, options.packets, attacked=True)
        size = attack.stat().st_size / 1e9
        print(f"{options.packets:,} packets in each file, {size:.2f} GB; best of {options.rounds} rounds")
        for vectors in (1, 3):
            for filters in (1, 4):
                what = f"{vectors} vector{'s' * (vectors > 1)}, {filters} filter{'s' * (filters > 1)} each"
                tried = trials(vectors, filters)
                for name, path, count in (
                    ("attack", attack, count_attack),
                    ("baseline", usual, count_baseline),
                ):
                    taken = best(
                        options.rounds, lambda c=count, p=path, t=tried: c(CaptureSource("x", (p,)), t)
                    )
                    line(f"back-test of the {name}: {what}", *taken)
        whole = [
            run(EDGECAP, "propose", "--json", str(attack), "--baseline", str(usual))
            for _ in range(options.rounds)
        ]
        line(
            "edgecap propose ATTACK --baseline USUAL, all of it",
            min(whole)[0],
            rss=max(rss for _, rss in whole),
        )


def trials(vectors: int, filters: int) -> list[Trial]:
    """The vectors of the attack, and filters like those that are found."""
    to = Networks("destination", (ip_network("203.0.113.7"),))
    syn = TrafficFilter(4, 6, (to, Flags(0x17, 0x02)))
    ntp = TrafficFilter(4, 17, (to, Values.of(Field.SOURCE_PORT, [123])))
    flood = TrafficFilter(4, 17, (to, Values.of(Field.DESTINATION_PORT, [27015])))
    more = (
        Values.of(Field.LENGTH, [44, 46]),
        Values(Field.TTL, ((40, 70),)),
        Values(Field.LENGTH, ((40, 60),)),
        Values.of(Field.TTL, range(30, 90, 2)),
    )
    return [
        Trial(Vector("", each), tuple(each.plus(test) for test in more[:filters]))
        for each in (syn, ntp, flood)[:vectors]
    ]


def best(rounds: int, work: Callable[[], object]) -> tuple[float, float]:
    """The fewest seconds, and the fewest of the processor."""
    taken, busy = [], []
    for _ in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        work()
        taken.append(time.perf_counter() - began)
        busy.append(time.process_time() - used)
    return min(taken), min(busy)


def line(what: str, seconds: float, busy: float = 0, *, rss: int = 0) -> None:
    """Print a line of the table."""
    processor = f"{busy:8.2f} s of the processor" if busy else ""
    print(f"{what:60}{seconds:8.2f} s{processor}{f'{rss / 1e6:8.0f} MB' if rss else ''}", flush=True)


def write(path: Path, packets: int, *, attacked: bool) -> None:
    """Write a pcap of `packets` packets of 60 bytes; an attack is among them if `attacked`."""
    random = np.random.default_rng(5)
    with path.open("wb") as file:
        file.write(HEADER)
        for start in range(0, packets, CHUNK):
            count = min(CHUNK, packets - start)
            rows = usual_rows(random, count, start)
            if attacked:
                attack_rows(random, rows)
            file.write(rows.tobytes())


def usual_rows(random: np.random.Generator, count: int, start: int) -> np.ndarray:
    """Clients of a web server and of a name server."""
    rows = np.zeros(count, RECORD)
    at = (start + np.arange(count)) * 10  # microseconds
    rows["seconds"], rows["fraction"] = START + at // 1_000_000, at % 1_000_000
    rows["captured"] = rows["wire"] = LONG
    rows["type"], rows["first"], rows["offset"] = 0x0800, (0x45, 0), 0x50
    rows["ident"], rows["ttl"] = random.integers(0, 1 << 16, count), random.integers(40, 64, count)
    rows["length"] = random.choice([40, 40, 46, 44], count)
    rows["source"] = random.integers(1 << 24, 223 << 24, count)
    rows["destination"] = TARGET + random.integers(0, 4, count)
    rows["source_port"] = random.integers(1024, 1 << 16, count)
    tcp = random.random(count) < 0.8
    rows["protocol"] = np.where(tcp, 6, 17)
    rows["destination_port"] = np.where(tcp, 443, 53)
    rows["flags"] = np.where(tcp, random.choice([0x10, 0x10, 0x10, 0x18, 0x02, 0x11], count), 0)
    rows["window"] = random.integers(500, 1 << 16, count)
    return rows


def attack_rows(random: np.random.Generator, rows: np.ndarray) -> None:
    """Turn nine tenths of the packets into those of an attack."""
    kind = random.integers(0, 10, len(rows))
    for which, protocol, values in (
        (kind < 4, 6, {"length": 44, "flags": 2, "destination_port": 443, "window": 1024}),
        ((kind >= 4) & (kind < 7), 17, {"length": 46, "source_port": 123}),
        ((kind >= 7) & (kind < 9), 17, {"length": 44, "destination_port": 27015, "acknowledged": 0xDEADBEEF}),
    ):
        rows["protocol"][which], rows["destination"][which] = protocol, TARGET
        for name, value in values.items():
            rows[name][which] = value


if __name__ == "__main__":
    main()
