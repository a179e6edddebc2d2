"""A capture's files are bounded by its limit: what is far larger stays packed or in the bucket, flagged.

And a disk keeps some room for everything else on it.
"""

import gzip
import os
import struct
from datetime import UTC, datetime

import pytest
from backports import zstd

from edgecap.archive.commit import commit
from edgecap.archive.layout import entry_prefix
from edgecap.archive.manifest import ENTRY_FLAGS, Times, make_manifest
from edgecap.archive.verify import verify_entry
from edgecap.captures.derive import derive
from edgecap.captures.fetching import fetch_full, largest_file
from edgecap.cloudflare.models import Capture
from edgecap.errors import StoreFull
from edgecap.files.durable import keep_free
from edgecap.packets.inspection import FLAGS
from edgecap.settings import StoreLocation, Timing
from edgecap.stores import open_store
from edgecap.stores.transfer import most_unpacked

HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
PACKET = struct.pack("<IIII", 1_795_000_000, 1, 60, 60) + bytes(60)
SMALL = HEAD + 3 * PACKET
LIMIT = 1_000  # bytes, of which the smallest bound is 64 MiB
BOMB = HEAD + PACKET * ((80 << 20) // len(PACKET))
CAPTURE = Capture.model_validate(
    {
        "id": "b" * 32,
        "status": "success",
        "type": "full",
        "colo_name": "ORD",
        "submitted": "2026-11-23T06:34:06Z",
    }
)


@pytest.fixture
def bucket(tmp_path):
    (tmp_path / "bucket").mkdir()
    return open_store(StoreLocation(uri=f"file:{tmp_path / 'bucket'}"))


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "archive").mkdir()
    return open_store(StoreLocation(uri=f"file:{tmp_path / 'archive'}"))


async def archived(bucket, archive, **limit):
    prefix = entry_prefix(CAPTURE)
    fetched = await fetch_full(bucket, CAPTURE, archive, Timing(settle=0), prefix=prefix, **limit)
    derived = derive(archive, prefix, fetched.files)
    manifest = make_manifest(
        CAPTURE,
        [*fetched.files, *derived.files],
        times=Times(fetched=datetime.now(UTC)),
        missing=fetched.missing,
        too_large=bool(fetched.left),
        trouble=derived.trouble,
    )
    return fetched, commit(archive, manifest)


def size_of(folder) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
async def test_a_small_file_that_unpacks_to_a_large_one_stays_packed(bucket, archive, tmp_path, pack):
    bomb = pack(BOMB)
    bucket.put(f"s1/pcap_{CAPTURE.id}.pcap", bomb)
    bucket.put(f"s2/pcap_{CAPTURE.id}.pcap", gzip.compress(SMALL))
    _, entry = await archived(bucket, archive, byte_limit=LIMIT)
    first, second = (file for file in entry.manifest.files if file.role == "raw")
    assert (first.flags, first.size, first.packets) == (("too-large",), len(bomb), None)
    assert first.damage == f"unpacked it has more than {64 << 20:,} bytes"
    assert (second.flags, second.packets) == ((), 3)
    assert entry.manifest.flags == ("too-large",)
    assert (entry.manifest.state, entry.manifest.totals.packets) == ("partial", 3)
    assert verify_entry(archive, entry) == []
    assert size_of(tmp_path / "archive") < 4 << 20
    assert set(first.flags) <= FLAGS.keys()
    assert set(entry.manifest.flags) <= ENTRY_FLAGS.keys()


async def test_a_capture_with_only_oversized_files_has_a_flagged_entry(bucket, archive):
    bucket.put(f"s1/pcap_{CAPTURE.id}.pcap", gzip.compress(BOMB))
    _, entry = await archived(bucket, archive, byte_limit=LIMIT)
    assert entry.manifest.flags == ("empty", "too-large", "unsummarised")
    assert "unpacked it has more than" in entry.manifest.trouble


async def test_a_plain_file_that_is_too_large_stays_in_the_bucket(bucket, archive, tmp_path):
    bucket.put(f"s2/pcap_{CAPTURE.id}.pcap", SMALL)
    large = tmp_path / "bucket" / "s1" / f"pcap_{CAPTURE.id}.pcap"
    large.parent.mkdir()
    with large.open("wb") as file:
        file.truncate(65 << 20)
    fetched, entry = await archived(bucket, archive, byte_limit=LIMIT)
    assert fetched.left == (f"s1/pcap_{CAPTURE.id}.pcap",)
    assert entry.manifest.flags == ("partial", "too-large")
    assert large.exists()


async def test_a_capture_without_a_limit_is_fetched_whole(bucket, archive):
    bucket.put(f"s1/pcap_{CAPTURE.id}.pcap", gzip.compress(BOMB))
    _, entry = await archived(bucket, archive)
    assert entry.manifest.flags == ()
    assert entry.manifest.totals.size == len(BOMB)


def test_without_a_limit_a_packed_file_is_bounded_by_its_own_size():
    assert most_unpacked(1_000) == 256 << 20
    assert most_unpacked(4_000_000) == 800_000_000


def test_the_bound_is_per_file_with_room_to_spare():
    assert largest_file(None) is None
    assert largest_file(1) == 64 << 20
    assert largest_file(1_000_000_000) == 2_000_000_000


async def test_a_fetch_that_would_fill_the_disk_does_not_start(bucket, small_disk):
    bucket.put(f"s1/pcap_{CAPTURE.id}.pcap", bytes(1_000_000))
    archive = open_store(StoreLocation(uri=f"file:{small_disk}"))
    with pytest.raises(StoreFull, match=r"bytes are free, 1,000,000 are needed, and 52,4\d\d must stay free"):
        await fetch_full(bucket, CAPTURE, archive, Timing(settle=0), prefix="captures/x/")
    assert not any(path.is_file() for path in small_disk.rglob("*"))


def test_a_mount_that_does_not_say_how_large_it_is_is_used(tmp_path, monkeypatch):
    real = os.statvfs(tmp_path)
    unknown = os.statvfs_result((*real[:2], 0, 0, 0, *real[5:]))
    monkeypatch.setattr("os.statvfs", lambda _: unknown)
    keep_free(tmp_path, tmp_path, needed=1)
