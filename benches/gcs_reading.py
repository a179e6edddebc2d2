"""How fast objects of GCS are read: edgecap's stream beside google-cloud-storage's own ways.

edgecap has its own stream because `Blob.open` holds each chunk several times in memory and makes a request
for each, and `download_to_file` writes to a file object. All read the same objects of fake-gcs-server on
loopback, four at a time, in turns, each in its own process. None verifies a checksum here: `make bench-gcs`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edgecap.settings import StoreLocation
from edgecap.settings.uri import parse_uri
from edgecap.stores.gcs.store import GcsStore
from edgecap.stores.reading import read_object
from tests.servers import FakeGcs

BUCKET = "bench"
SIZE, COUNT = 256 << 20, 4
_CHUNK = 1 << 20
WAYS = ("edgecap", "download_to_file", "open, 2 MiB", "open, 8 MiB")


class _Counter(io.RawIOBase):
    def __init__(self) -> None:
        self.size = 0

    def write(self, data: Any) -> int:
        self.size += len(data)
        return len(data)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="edgecap's reading of GCS beside its library's ways")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="turns of each way (5)")
    parser.add_argument("--turn", nargs=2, metavar=("WAY", "URL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn:
        print(json.dumps(_turn(*options.turn)))
        return
    with tempfile.TemporaryDirectory(prefix="edgecap-bench-") as home, FakeGcs(Path(home)) as server:
        server.make_bucket(BUCKET)
        _seed(server.endpoint_url)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {COUNT} objects of {SIZE >> 20} MiB")
        turns: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for number in range(options.repeat + 1):
            for way in WAYS:
                command = [sys.executable, __file__, "--turn", way, server.endpoint_url]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                if number:  # the first turns do not count
                    turns[way].append(json.loads(done.stdout))
    best = statistics.median(turn["seconds"] for turn in turns[WAYS[0]])
    for way, found in turns.items():
        seconds, cpu, memory = (
            statistics.median(turn[name] for turn in found) for name in ("seconds", "cpu", "memory")
        )
        print(f"{way:18} {seconds / best:5.2f} x  {seconds:6.2f} s  {cpu:5.2f} CPU s  {memory / 1e6:5.0f} MB")


def _store(url: str) -> GcsStore:
    place = StoreLocation(uri=f"gs://{BUCKET}", endpoint_url=url)
    return GcsStore(parse_uri(place.uri), place)


def _seed(url: str) -> None:
    block = os.urandom(_CHUNK)
    for number in range(COUNT):
        httpx.post(
            f"{url}/upload/storage/v1/b/{BUCKET}/o",
            params={"uploadType": "media", "name": f"object-{number}"},
            content=(block for _ in range(SIZE // _CHUNK)),  # what this process holds counts for its children
            timeout=120,
        ).raise_for_status()


def _turn(way: str, url: str) -> dict[str, float]:
    store = _store(url)
    bucket = store._bucket  # noqa: SLF001 - the library's own bucket, with the same session

    def read(number: int) -> int:
        name = f"object-{number}"
        if way == "edgecap":
            return sum(len(chunk) for chunk in read_object(store, name))
        blob = bucket.get_blob(name)
        if way == "download_to_file":
            counter = _Counter()
            blob.download_to_file(counter, raw_download=True, checksum=None)
            return counter.size
        size = int(way.split()[1]) << 20
        with blob.open("rb", chunk_size=size, raw_download=True) as file:
            return sum(len(chunk) for chunk in iter(lambda: file.read(_CHUNK), b""))

    started = time.perf_counter()
    with ThreadPoolExecutor(COUNT) as pool:
        total = sum(pool.map(read, range(COUNT)))
    seconds = time.perf_counter() - started
    assert total == COUNT * SIZE
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss * 1024.0}


if __name__ == "__main__":
    main()
