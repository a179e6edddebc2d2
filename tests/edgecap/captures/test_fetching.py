"""Fetching: what the archive's own disk does to it comes out as an error of the tree."""

import pytest

from edgecap.captures.fetching import fetch_full, fetch_simple
from edgecap.cloudflare.models import Capture
from edgecap.errors import StoreMissing, StoreUnwritable
from edgecap.settings import Timing
from edgecap.stores.folder import FolderStore
from tests.mounting import remount


@pytest.fixture
def archive(small_disk):
    """An archive whose disk became read-only when it had been in use already."""
    store = FolderStore(small_disk)
    store.staging()
    remount(small_disk, "ro")
    return store


@pytest.fixture
def bucket(tmp_path):
    (tmp_path / "bucket").mkdir()
    store = FolderStore(tmp_path / "bucket")
    store.put(f"s1/pcap_{CAPTURE.id}.pcap", b"x")
    return store


CAPTURE = Capture(id="a" * 32, status="success")


async def test_a_simple_capture_meets_a_disk_that_became_read_only(archive):
    with pytest.raises(StoreUnwritable):
        await fetch_simple(None, CAPTURE, archive, prefix="captures/x/")


async def test_a_full_capture_meets_a_disk_that_became_read_only(archive, bucket):
    with pytest.raises(StoreUnwritable):
        await fetch_full(bucket, CAPTURE, archive, Timing(settle=0), prefix="captures/x/")


async def test_a_full_capture_meets_a_disk_that_is_unmounted_meanwhile(tmp_path, bucket):
    root = tmp_path / "archive"
    root.mkdir()

    def unmount(_: int) -> None:
        if root.exists():
            root.rename(tmp_path / "away")

    with pytest.raises(StoreMissing):
        await fetch_full(
            bucket, CAPTURE, FolderStore(root), Timing(settle=0), prefix="captures/x/", on_bytes=unmount
        )
    assert not root.exists()


async def test_files_of_an_archive_in_the_same_bucket_are_no_deliveries(tmp_path, bucket):
    """Other settings than these may know the archive."""
    entry = f"captures/2026/11/23/2026-11-23T06-34-06Z_full_ORD_{CAPTURE.id}/"
    for key in (f"archive/{entry}raw/s1.pcap", f"{entry}manifest.json"):
        bucket.put(key, b"y")
    (tmp_path / "archive").mkdir()
    fetched = await fetch_full(
        bucket, CAPTURE, FolderStore(tmp_path / "archive"), Timing(settle=0), prefix="captures/x/"
    )
    assert [file.source_key for file in fetched.files] == [f"s1/pcap_{CAPTURE.id}.pcap"]
