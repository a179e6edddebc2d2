"""How fast objects become verified files: edgecap beside s5cmd followed by hashing.

Both run in turns, from the same servers to the same disk: MiniStack, and Ceph's S3 gateway where it is
installed. Each turn is its own process, measured from its first request to its last file. The start of Python
and boto3 is not counted. The start of s5cmd is, since it cannot be measured separately.

edgecap also checks every byte against what the store states, and syncs files and folder to the disk before
they get their names. s5cmd checks nothing and syncs nothing; its files are hashed (SHA-256, a thread for each
core) when all have arrived. Objects are put as today's AWS libraries do, with a CRC32, which MiniStack keeps.
Ceph does not: there edgecap has to take an MD5 of every object, which costs twice as much as the SHA-256. The
third client is s5cmd again, with all that edgecap does: the hash that edgecap had to check is taken, too, and
each file and the folder are synced.

A thousand files stay until the end of their case. Among inodes that were freed within the last minutes, ext4
searches for one that was not: creating a thousand files then took ten times as long.

    python benches/fetch.py                     all cases
    python benches/fetch.py --case "20 x 14 MB" --server ministack --repeat 3 --folder /var/tmp
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deployments.demo.object_store import ObjectStore
from edgecap.settings import StoreLocation
from edgecap.stores import CHUNK, open_store
from edgecap.stores.transfer import fetch_many
from tests.servers import CEPH_MISSING, Ceph

MB = 1_000_000
PART = 8 << 20  # boto3's own: what the large object is cut into
CASES = {"1 x 1 GB": (1, 1_000 * MB), "20 x 14 MB": (20, 14 * MB), "1000 x 100 kB": (1_000, MB // 10)}
MANY = 1_000  # files, from which on they stay until the end of their case
CHECKS = {"ministack": "crc32", "ceph": "md5"}  # what edgecap finds there to check
CLIENTS = ("edgecap", "s5cmd + sha256", "s5cmd + all")


@dataclass
class Turns:
    """The measurements of one client in one case."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)  # bytes, of the Python process

    def add(self, turn: dict[str, Any]) -> None:
        """Take a turn's numbers."""
        self.seconds.append(turn["seconds"])
        self.cpu.append(turn["cpu"])
        self.memory.append(turn["memory"])


def main() -> None:
    """Run what the command line asks for."""
    options = _options()
    if options.turn:
        _turn(**json.loads(sys.stdin.read()))
        return
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="edgecap-bench-", dir=options.folder))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, files in {home}", flush=True)
        print(f"{'server':10} {'case':14} {'client':15} {'median s':>9} {'range':>13} {'MB/s':>6} "
              f"{'CPU s':>6} {'peak MB':>8}")  # fmt: skip
        medians = []
        for name in options.server:
            if name == "ceph" and CEPH_MISSING:
                print(f"ceph: not installed (no {CEPH_MISSING[0]})")
                continue
            for case in options.case:
                # A new server each time: what it holds is in memory.
                with _server(name, home / "server") as make_place:
                    medians.append(_compare(name, case, make_place, home, options.repeat))
        print("medians: " + "; ".join(medians))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="edgecap's fetch beside s5cmd followed by hashing")
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--server", action="append", choices=["ministack", "ceph"])
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="turns of each client (3)")
    parser.add_argument("--folder", type=Path, default=None, help="where files go (the temporary folder)")
    parser.add_argument("--turn", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.case = options.case or list(CASES)
    options.server = options.server or ["ministack", "ceph"]
    return options


@contextmanager
def _server(name: str, folder: Path) -> Iterator[Callable[[str], StoreLocation]]:
    shutil.rmtree(folder, ignore_errors=True)
    with ObjectStore(folder) if name == "ministack" else Ceph(folder) as server:

        def make(bucket: str) -> StoreLocation:
            server.make_bucket(bucket)
            return server.place(bucket)

        yield make


def _compare(
    server: str, case: str, make_place: Callable[[str], StoreLocation], home: Path, repeat: int
) -> str:
    count, size = CASES[case]
    place = make_place("bench")
    _seed(place, count, size)
    results = {client: Turns() for client in CLIENTS}
    files = home / "files"
    for turn in range(repeat + 1):
        # The order changes, since the second client may find a warmer server. The first turns do not count.
        for client in CLIENTS if turn % 2 else reversed(CLIENTS):
            folder = files / str(turn) / str(CLIENTS.index(client))
            folder.mkdir(parents=True)
            found = _run_turn(client, place, folder, CHECKS[server])
            if count < MANY:
                shutil.rmtree(folder)
            assert found["count"] == count
            assert found["bytes"] == count * size
            if turn:
                results[client].add(found)
    shutil.rmtree(files)
    for client, turns in results.items():
        median = statistics.median(turns.seconds)
        span = f"{min(turns.seconds):.2f}-{max(turns.seconds):.2f}"
        print(f"{server:10} {case:14} {client:15} {median:9.2f} {span:>13} {count * size / MB / median:6.0f} "
              f"{statistics.median(turns.cpu):6.2f} {max(turns.memory) / MB:8.0f}", flush=True)  # fmt: skip
    ours, *theirs = (statistics.median(results[client].seconds) for client in CLIENTS)
    ratios = [
        f"{client} {seconds:.2f} s ({ours / seconds:.2f})"
        for client, seconds in zip(CLIENTS[1:], theirs, strict=True)
    ]
    return f"{server} {case} edgecap {ours:.2f} s, {', '.join(ratios)}"


def _seed(place: StoreLocation, count: int, size: int) -> None:
    """Objects of random bytes, put as today's AWS libraries do: with a CRC32, in parts if large."""
    assert place.access_key_id
    assert place.secret_access_key
    client: Any = boto3.client(
        "s3",
        endpoint_url=place.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=place.access_key_id.get_secret_value(),
        aws_secret_access_key=place.secret_access_key.get_secret_value(),
    )
    block = os.urandom(PART)
    if size <= 8 * PART:

        def put(number: int) -> None:
            client.put_object(
                Bucket="bench", Key=f"server-{number:04d}/x.pcap", Body=block[:size].ljust(size, b"x")
            )

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(put, range(count)))
        return
    crc = {"ChecksumAlgorithm": "CRC32"}
    for number in range(count):
        target = {"Bucket": "bench", "Key": f"server-{number:04d}/x.pcap"}
        upload = {**target, "UploadId": client.create_multipart_upload(**target, **crc)["UploadId"]}
        parts = []
        for part, start in enumerate(range(0, size, PART), 1):
            answer = client.upload_part(**upload, PartNumber=part, Body=block[: size - start], **crc)
            kept = {name: answer[name] for name in ("ETag", "ChecksumCRC32") if name in answer}
            parts.append({"PartNumber": part, **kept})
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def _run_turn(client: str, place: StoreLocation, folder: Path, check: str) -> dict[str, Any]:
    assert place.access_key_id
    assert place.secret_access_key
    asked = {
        "client": client,
        "uri": place.uri,
        "endpoint": place.endpoint_url,
        "key": place.access_key_id.get_secret_value(),
        "secret": place.secret_access_key.get_secret_value(),
        "folder": str(folder),
        "check": check if client == "s5cmd + all" else "",  # then files are synced, too
    }
    done = subprocess.run(
        [sys.executable, __file__, "--turn"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{client}: {done.stderr.strip()[-2_000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _turn(client: str, uri: str, endpoint: str, key: str, secret: str, folder: str, check: str) -> None:
    place = StoreLocation.model_validate(
        {"uri": uri, "endpoint_url": endpoint, "access_key_id": key, "secret_access_key": secret}
    )
    before = _cpu()
    seconds, hashes = (
        _edgecap(place, Path(folder)) if client == "edgecap" else _s5cmd(place, Path(folder), check)
    )
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu": _cpu() - before,
                "memory": _peak("self"),
                "count": len(hashes),
                "bytes": sum(size for size, _ in hashes),
            }
        )
    )


def _cpu() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)


def _peak(process: str | int) -> int:
    """The peak of memory in bytes; getrusage's would include the parent's at the fork."""
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def _edgecap(place: StoreLocation, folder: Path) -> tuple[float, list[tuple[int, str]]]:
    store = open_store(place)
    store.check()
    began = time.perf_counter()
    infos = list(store.list())
    fetched = fetch_many(store, infos, [folder / info.key.replace("/", "_") for info in infos])
    return time.perf_counter() - began, [(each.size, each.sha256) for each in fetched]


def _s5cmd(place: StoreLocation, folder: Path, check: str) -> tuple[float, list[tuple[int, str]]]:
    assert place.access_key_id
    assert place.secret_access_key
    env = {
        **os.environ,
        "S3_ENDPOINT_URL": place.endpoint_url or "",
        "AWS_ACCESS_KEY_ID": place.access_key_id.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": place.secret_access_key.get_secret_value(),
        "AWS_REGION": "us-east-1",
    }
    program = str(Path(sys.executable).with_name("s5cmd"))

    def digest(path: Path) -> tuple[int, str]:
        if check:
            sync(path)
        sha256, md5, crc = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                sha256.update(chunk)
                if check == "md5":
                    md5.update(chunk)
                elif check == "crc32":
                    crc = zlib.crc32(chunk, crc)
        return path.stat().st_size, sha256.hexdigest()

    def sync(path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    began = time.perf_counter()
    subprocess.run([program, "--log", "error", "cp", "s3://bench/*", f"{folder}/"], env=env, check=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        hashes = list(pool.map(digest, sorted(path for path in folder.rglob("*") if path.is_file())))
    if check:
        sync(folder)
    return time.perf_counter() - began, hashes


if __name__ == "__main__":
    main()
