"""An entry is whole or it is not there, whatever is killed, full or read-only."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from edgecap.archive.commit import commit, put_file
from edgecap.archive.entries import find_entry, list_entries
from edgecap.archive.layout import entry_prefix
from edgecap.archive.manifest import FileRecord, Times, make_manifest
from edgecap.archive.verify import verify_archive, verify_entry
from edgecap.errors import (
    Damaged,
    EntryMissing,
    InvalidRequest,
    ObjectExists,
    ObjectMissing,
    StoreFull,
    StoreUnwritable,
)
from edgecap.settings import StoreLocation
from edgecap.stores import Store, open_store
from tests.mounting import mounted, remount


class Killed(BaseException):
    """The process ends here, as far as the code under test can tell."""


@dataclass
class Dying:
    """A store that dies at its k-th put: before it does anything, or right after it is durable."""

    store: Store
    puts_left: int
    after: bool

    def put(self, key, source, *, move=False):
        self.puts_left -= 1
        if self.puts_left > 0:
            return self.store.put(key, source, move=move)
        if self.after:
            self.store.put(key, source, move=move)
        raise Killed

    def __getattr__(self, name):
        return getattr(self.store, name)


def keys(store) -> list[str]:
    return [info.key for info in store.list()]


def manifests(store) -> list[str]:
    return [key for key in keys(store) if key.endswith("manifest.json")]


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_put_leaves_no_entry_and_a_retry_succeeds(store, capture, keep, two_servers, after):
    """Two raw files, a summary, the manifest: four puts."""
    for k in range(1, 5):
        job = capture(f"{k:032x}")
        with pytest.raises(Killed):
            keep(Dying(store, k, after), job, two_servers)
        exists = k == 4 and after
        assert (entry_prefix(job) + "manifest.json" in keys(store)) == exists
        if not exists:
            with pytest.raises(EntryMissing):
                find_entry(store, job.id)
        entry = keep(store, job, two_servers)
        assert verify_entry(store, entry) == []
        assert [file.packets for file in entry.manifest.files] == [3, 5, None]
    assert len(manifests(store)) == len(list(list_entries(store))) == 4
    assert all(verdict.problems == [] for verdict in verify_archive(store))


def test_a_kill_at_any_moment_leaves_only_whole_files_and_entries(tmp_path):
    """kill -9 at five moments of a process that archives one capture after the other."""
    program = """
import hashlib, sys
from edgecap.archive.commit import commit, put_file
from edgecap.archive.layout import entry_prefix
from edgecap.archive.manifest import FileRecord, Times, make_manifest
from edgecap.cloudflare.models import Capture
from edgecap.settings import StoreLocation
from edgecap.stores import open_store

store = open_store(StoreLocation(uri=sys.argv[1]))
data = bytes(range(256)) * 2000
digest = hashlib.sha256(data).hexdigest()
number = 0
print("ready", flush=True)
while True:
    number += 1
    answer = {"id": f"{number:032x}", "type": "simple", "submitted": "2026-11-23T06:00:00Z"}
    capture = Capture.model_validate(answer)
    records = []
    for i in range(3):
        path = store.staging() / f"{number}-{i}"
        path.write_bytes(data)
        name = put_file(store, entry_prefix(capture), f"raw/s{i}.bin", path,
                        size=len(data), sha256=digest, move=True)
        records.append(FileRecord.of(name, size=len(data), sha256=digest))
    commit(store, make_manifest(capture, records, times=Times()))
"""
    uri = f"file:{tmp_path}"
    store = open_store(StoreLocation(uri=uri))
    found = moment = 0
    while moment < 5 or not found:  # a busy machine needs later moments
        process = subprocess.Popen([sys.executable, "-c", program, uri], stdout=subprocess.PIPE)
        try:
            assert process.stdout.readline() == b"ready\n"
            time.sleep(0.05 + 0.013 * moment)
            moment += 1
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
        for verdict in verify_archive(store):
            assert verdict.ok, verdict
            found += verdict.entry is not None
        for info in store.list():
            assert info.size == 512_000 or info.key.endswith("manifest.json")


def test_committing_again_returns_the_entry_that_exists(store, capture, keep, two_servers):
    first = keep(store, capture(), two_servers)
    again = keep(store, capture(), two_servers)
    assert again == first
    assert first.manifest.times.committed is not None
    assert len(manifests(store)) == 1
    assert [file.name for file in first.manifest.files] == [
        "raw/ord02-s1.pcap",
        "raw/ord02-s2.pcap",
        "summary.json",
    ]


def test_a_capture_with_other_packets_does_not_replace_its_entry(store, capture, keep, two_servers, pcap):
    first = keep(store, capture(), two_servers)
    with pytest.raises(ObjectExists, match="has an entry already, with other packets"):
        keep(store, capture(), {**two_servers, f"ord02-s3/pcap_{capture().id}.pcap": pcap(9)})
    assert find_entry(store, capture().id) == first


def test_different_bytes_of_an_interrupted_attempt_are_kept_beside(store, capture, keep, two_servers):
    prefix = entry_prefix(capture())
    store.put(prefix + "raw/ord02-s1.pcap", b"an older delivery")
    store.put(prefix + "summary.json", b"x" * 20)
    entry = keep(store, capture(), two_servers)
    digest = hashlib.sha256(two_servers[f"ord02-s1/pcap_{capture().id}.pcap"]).hexdigest()
    names = [file.name for file in entry.manifest.files]
    assert f"raw/ord02-s1-{digest[:12]}.pcap" in names
    assert {problem.kind for problem in verify_entry(store, entry)} == {"extra"}
    with store.open(prefix + "raw/ord02-s1.pcap") as reader:
        assert b"".join(reader) == b"an older delivery"


def test_a_name_that_is_taken_twice_over_is_one_clear_line(folder):
    digest = hashlib.sha256(b"new").hexdigest()
    folder.put("captures/x/a", b"old")
    folder.put(f"captures/x/a-{digest[:12]}", b"odd")
    with pytest.raises(ObjectExists, match="other bytes have this name"):
        put_file(folder, "captures/x/", "a", b"new", size=3, sha256=digest)


def manifest_of(capture, *names: str, size: int = 3):
    digest = hashlib.sha256(b"abc").hexdigest()
    return make_manifest(
        capture(), [FileRecord.of(name, size=size, sha256=digest) for name in names], times=Times()
    )


def test_nothing_is_committed_while_a_file_is_missing_or_has_another_size(store, capture):
    prefix = entry_prefix(capture())
    with pytest.raises(ObjectMissing, match="a file of the entry is not there"):
        commit(store, manifest_of(capture, "raw/a.bin"))
    store.put(prefix + "raw/a.bin", b"abc")
    with pytest.raises(Damaged, match="has 3 bytes instead of 4"):
        commit(store, manifest_of(capture, "raw/a.bin", size=4))
    assert manifests(store) == []
    assert commit(store, manifest_of(capture, "raw/a.bin")).prefix == prefix


@pytest.mark.parametrize("name", ["../a", "raw//a", "/etc/passwd", "raw/./a"])
def test_a_name_that_leads_out_of_the_entry_is_refused(folder, capture, name):
    folder.check(write=True)
    with pytest.raises(InvalidRequest, match="leads out of the entry"):
        commit(folder, manifest_of(capture, name))


def test_a_full_disk_is_one_clear_line_and_leaves_no_final_file(tmp_path, capture, keep, two_servers, pcap):
    disk = tmp_path / "disk"
    with mounted(disk, "size=1m", lazy=False):
        store = open_store(StoreLocation(uri=f"file:{disk}"))
        keep(store, capture("1" * 32), two_servers)
        before = keys(store)
        large = pcap(20_000)
        source = tmp_path / "large.pcap"
        source.write_bytes(large)
        digest = hashlib.sha256(large).hexdigest()
        prefix = entry_prefix(capture("2" * 32))
        with pytest.raises(StoreFull) as caught:
            put_file(store, prefix, "raw/large.pcap", source, size=len(large), sha256=digest, move=True)
        assert "\n" not in str(caught.value)
        assert source.read_bytes() == large
        assert keys(store) == before
        assert list(store.staging().iterdir()) == []

        # Full to the last byte: the packets are there, but the manifest is not.
        job = capture("3" * 32)
        store.put(entry_prefix(job) + "raw/a.bin", b"abc")
        free = os.statvfs(disk)
        (disk / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize))
        digest = hashlib.sha256(b"abc").hexdigest()
        manifest = make_manifest(job, [FileRecord.of("raw/a.bin", size=3, sha256=digest)], times=Times())
        with pytest.raises(StoreFull):
            commit(store, manifest)
        assert len(manifests(store)) == 1
        (disk / "filler").unlink()
        assert verify_entry(store, commit(store, manifest)) == []


def test_a_read_only_archive_is_readable_and_says_that_writes_fail(tmp_path, capture, keep, two_servers):
    disk = tmp_path / "disk"
    with mounted(disk, "size=1m", lazy=False):
        store = open_store(StoreLocation(uri=f"file:{disk}"))
        entry = keep(store, capture("1" * 32), two_servers)
        before = keys(store)
        remount(disk, "ro")
        with pytest.raises(StoreUnwritable) as caught:
            put_file(store, "captures/x/", "a", b"abc", size=3, sha256=hashlib.sha256(b"abc").hexdigest())
        assert "\n" not in str(caught.value)
        assert keys(store) == before
        assert verify_entry(store, find_entry(store, entry.manifest.entry_id)) == []
