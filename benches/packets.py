"""How fast packets are summarized and merged, beside capinfos, tshark and mergecap: `make bench-packets`.

The bench makes two files of a gigabyte, one of large packets and one of small ones. The programs take turns.
Each result is the best of the rounds, with a warm page cache. tshark would take minutes for such files, so it
gets their first packets, and its time beyond its start is scaled by their number. edgecap's merge ends with
its file on the disk (fsync), so mergecap is followed by `sync FILE`. Starts are in processor time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benches.world import MOST_RESIDENT, memory
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.reader import open_packets
from edgecap.packets.summarize import summarize

EDGECAP = str(Path(sys.executable).with_name("edgecap"))
SAMPLE = 200_000  # packets that tshark gets
FLOWS = 20_000
START = 1_795_000_000
CHUNK = 12_000  # times the packets of a pattern that are made at a time
# Bytes of the frames, again and again: on average 840, and 84.
PATTERNS = {"large": (1514, 1514, 66, 90, 1016), "small": (66, 60, 74, 90, 130)}
WITHOUT_TCP_ANALYSIS = ("-o", "tcp.analyze_sequence_numbers:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE")


def main() -> None:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where there is room for four times the size")
    options = parser.parse_args()
    # Measurements run in their own process, since a child's peak of memory includes its parent's.
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="edgecap-bench-", dir=options.folder) as folder,
        ProcessPoolExecutor(1, mp_context=context) as maker,
    ):
        starts(Path(folder), options.rounds)
        for name in PATTERNS:
            path = Path(folder) / f"{name}.pcap"
            packets = maker.submit(make, path, name, options.megabytes * 1_000_000).result()
            size = path.stat().st_size
            print(f"\n{name} packets: {packets:,}, {size / 1e9:.2f} GB, best of {options.rounds} rounds")
            summaries(path, packets, options.rounds, context)
            for parts in (8, 200):
                merges(maker, path, parts, options.rounds)
            path.unlink()


def starts(folder: Path, rounds: int) -> None:
    """Processor time of commands that have nothing to do."""
    environment = {**os.environ, "EDGECAP_ARCHIVES__DEFAULT__URI": f"file:{folder}"}
    for arguments in (("--help",), ("summary", "/dev/null"), ("list",)):
        took = []
        for _ in range(2 * rounds):
            before = os.times()
            subprocess.run(
                [EDGECAP, *arguments], env=environment, capture_output=True, check=False, cwd=folder
            )
            after = os.times()
            user, system = (after[place] - before[place] for place in (2, 3))  # of children
            took.append(user + system)
        line(f"edgecap {' '.join(arguments)}, processor time", min(took))


def summaries(path: Path, packets: int, rounds: int, context: Any) -> None:
    """Summarizing one file."""
    capinfos, whole, start, warm = [], [], [], []
    tshark: dict[int, list[float]] = {1: [], SAMPLE: []}
    with ProcessPoolExecutor(1, mp_context=context) as warmed:
        for _ in range(rounds):
            capinfos.append(run("capinfos", "-c", "-a", "-e", str(path)))
            whole.append(run(EDGECAP, "summary", "--json", str(path)))
            warm.append(warmed.submit(one_pass, path).result())
            start.append(run(EDGECAP, "summary", "--json", "/dev/null", good=10))
    for count in (1, SAMPLE) * min(rounds, 2):
        conversations = ("-q", "-z", "conv,ip", *WITHOUT_TCP_ANALYSIS)
        tshark[count].append(run("tshark", "-n", "-c", str(count), "-r", str(path), *conversations)[0])
    base = min(capinfos)[0]
    begin, seconds = min(tshark[1]), min(tshark[SAMPLE])
    scaled = begin + (seconds - begin) * packets / min(packets, SAMPLE)
    line("capinfos -c -a -e", base)
    line("edgecap summary --json", min(whole)[0], base, "capinfos", rss=max(rss for _, rss in whole))
    line("  of which, to start: a summary of nothing", min(start)[0])
    line(
        "the pass in a process that is warm", min(warm)[0], base, "capinfos", rss=max(rss for _, rss in warm)
    )
    line(f"tshark -n -q -z conv,ip, scaled from {seconds:.1f} s for {SAMPLE:,}", scaled)
    shares = (scaled / min(whole)[0], scaled / min(warm)[0])
    print("  of that, edgecap takes 1/{:.0f}, in a process that is warm 1/{:.0f}".format(*shares))


def merges(maker: ProcessPoolExecutor, path: Path, parts: int, rounds: int) -> None:
    """Merging one file's packets out of several files."""
    theirs, ours = [], []
    with tempfile.TemporaryDirectory(prefix="parts-", dir=path.parent) as folder:
        files = maker.submit(split, path, Path(folder), parts).result()
        target = Path(folder) / "merged.pcapng"
        for _ in range(rounds):
            merged = run("mergecap", "-w", str(target), *files)[0]
            theirs.append(merged + run("sync", str(target), after=target)[0])
            ours.append(run(EDGECAP, "merge", "-o", str(target), *files, after=target))
    base = min(theirs)
    line(f"mergecap and sync, {parts} files", base)
    rss = max(rss for _, rss in ours)
    line(f"edgecap merge, {parts} files", min(ours)[0], base, "mergecap", rss=rss)


def line(what: str, seconds: float, base: float = 0, of: str = "", *, rss: int = 0) -> None:
    """Print a line of the table."""
    ratio = f"{seconds / base:5.2f} x {of}" if base else ""
    print(f"{what:66}{seconds:8.2f} s  {ratio:18}{f'{rss / 1e6:5.0f} MB' if rss else ''}", flush=True)


def run(*command: str, good: int = 0, after: Path | None = None) -> tuple[float, int]:
    """The seconds and the peak of memory, in bytes, of a command; `after` is then removed."""
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    took = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != good:
        raise SystemExit(f"{' '.join(command[:3])} ... ended with {child.returncode}")
    if after:
        after.unlink()
    return took, usage.ru_maxrss * 1024


def one_pass(path: Path) -> tuple[float, int]:
    """Seconds of the one pass, with its summary, and the peak of this process's memory."""
    began = time.perf_counter()
    tally = FlowTable()
    with open_packets(path) as reader:
        for batch in reader:
            tally.feed(batch, reader.interfaces)
    tally.finish()
    summarize(tally)
    return time.perf_counter() - began, memory(os.getpid(), MOST_RESIDENT)


def make(path: Path, name: str, size: int) -> int:
    """Write a capture of about `size` bytes; return its number of packets."""
    pattern = PATTERNS[name]
    kind = np.dtype([(str(place), packet_of(length)) for place, length in enumerate(pattern)])
    rng = np.random.default_rng(1)
    made = 0
    with path.open("wb") as file:
        file.write(header())
        while file.tell() < size:
            rows = np.zeros(CHUNK, kind)
            for place, length in enumerate(pattern):
                fill(rows[str(place)], length, made + place + len(pattern) * np.arange(CHUNK), rng)
            file.write(rows.tobytes())
            made += CHUNK * len(pattern)
    return made


def header() -> bytes:
    """Of a pcap in nanoseconds, Ethernet."""
    return np.array([0xA1B23C4D, 4 << 16 | 2, 0, 0, 262_144, 1], "<u4").tobytes()


def packet_of(length: int) -> np.dtype[Any]:
    """A record of an Ethernet frame of this size: IPv4, and TCP or UDP."""
    return np.dtype(
        [
            ("second", "<u4"), ("nanosecond", "<u4"), ("captured", "<u4"), ("wire", "<u4"),
            ("macs", "u1", (12,)), ("type", ">u2"), ("version", "u1"), ("tos", "u1"), ("length", ">u2"),
            ("number", ">u4"), ("ttl", "u1"), ("protocol", "u1"), ("sum", ">u2"), ("source", ">u4"),
            ("destination", ">u4"), ("source_port", ">u2"), ("destination_port", ">u2"), ("more", "u1", (9,)),
            ("flags", "u1"), ("rest", "u1", (length - 48,)),
        ]
    )  # fmt: skip


def fill(rows: Any, length: int, numbers: Any, rng: np.random.Generator) -> None:
    """Make these rows the packets of some of the flows; ten microseconds from one to the next."""
    flow = rng.integers(0, FLOWS, len(rows))
    rows["second"], rows["nanosecond"] = START + numbers // 100_000, numbers % 100_000 * 10_000
    rows["captured"] = rows["wire"] = length
    rows["type"], rows["version"], rows["length"], rows["ttl"] = 0x0800, 0x45, length - 14, 40 + flow % 24
    rows["protocol"] = np.where(flow % 4, 6, 17)
    rows["source"], rows["destination"] = 0xC6336400 + flow % 5_000, 0xCB007100 + flow % 7
    rows["source_port"], rows["destination_port"] = 1024 + flow, np.where(flow % 2, 443, 80)
    rows["more"][:, 8], rows["flags"] = 0x50, 0x10


def split(path: Path, folder: Path, parts: int) -> list[str]:
    """Deal a file's packets out to several files, each in order of time."""
    paths = [folder / f"{number:03}.pcap" for number in range(parts)]
    files = [each.open("wb") for each in paths]
    for file in files:
        file.write(header())
    for number, piece in enumerate(pieces(path)):
        files[number * 7919 % parts].write(piece)
    for file in files:
        file.close()
    return [str(each) for each in paths]


def pieces(path: Path) -> Iterator[memoryview]:
    """A file's records, a few dozen together."""
    with open_packets(path) as reader:
        for batch in reader:
            data = memoryview(batch.data)
            starts = (batch.rows["start"][::37].astype("i8") - 16).tolist()
            last = batch.rows[-1]
            ends = [*starts[1:], int(last["start"]) + int(last["captured"])]
            for start, end in zip(starts, ends, strict=True):
                yield data[start:end]


if __name__ == "__main__":
    main()
