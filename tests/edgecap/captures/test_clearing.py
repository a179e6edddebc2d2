"""Delivered files are deleted only once the archive holds them, read back and right."""

import struct
from datetime import UTC, datetime

import pytest

from edgecap.archive.commit import commit
from edgecap.archive.layout import entry_prefix
from edgecap.archive.manifest import Times, make_manifest
from edgecap.captures.clearing import clear_delivered
from edgecap.captures.fetching import fetch_full
from edgecap.cloudflare.models import Capture
from edgecap.settings import StoreLocation, Timing
from edgecap.stores import open_store
from tests.limited import CREATE_ONLY, Root, allow

CAPTURE = Capture.model_validate(
    {
        "id": "a" * 32,
        "status": "success",
        "type": "full",
        "colo_name": "ORD",
        "submitted": "2026-11-23T06:34:06Z",
    }
)
HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
KEYS = [f"{server}/pcap_{CAPTURE.id}.pcap" for server in ("s1", "s2")]


@pytest.fixture(params=["s3", "gcs"])
def bucket(request, place_of):
    store = open_store(place_of(request.param))
    for number, key in enumerate(KEYS, 1):
        packet = struct.pack("<IIII", 1_795_000_000, number, 60, 60) + bytes(60)
        store.put(key, HEAD + number * packet)
    store.put("s1/pcap_other.pcap", HEAD)
    return store


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "archive").mkdir()
    return open_store(StoreLocation(uri=f"file:{tmp_path / 'archive'}"))


@pytest.fixture
async def entry(bucket, archive):
    fetched = await fetch_full(bucket, CAPTURE, archive, Timing(settle=0), prefix=entry_prefix(CAPTURE))
    return commit(archive, make_manifest(CAPTURE, fetched.files, times=Times(fetched=datetime.now(UTC))))


def keys(store) -> list[str]:
    return [info.key for info in store.list()]


def test_only_files_that_the_archive_holds_are_deleted(bucket, archive, entry):
    cleared = clear_delivered(bucket, archive, entry)
    assert str(cleared) == "2 delivered files deleted from the bucket"
    assert keys(bucket) == ["s1/pcap_other.pcap"]
    assert str(clear_delivered(bucket, archive, entry)) == "0 delivered files deleted from the bucket"


def test_nothing_is_deleted_if_a_bit_of_the_entry_is_wrong(bucket, archive, entry):
    path = archive.local(entry.prefix + entry.manifest.files[0].name)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    cleared = clear_delivered(bucket, archive, entry)
    assert (cleared.deleted, cleared.kept.startswith("the entry is not as its manifest says: hash")) == (
        0,
        True,
    )
    assert len(keys(bucket)) == 3


@pytest.mark.parametrize("data", [HEAD, HEAD + bytes(76)], ids=["another size", "the same size"])
def test_a_file_that_changed_since_the_fetch_stays(bucket, archive, entry, data):
    bucket.delete(KEYS[0])
    bucket.put(KEYS[0], data)
    cleared = clear_delivered(bucket, archive, entry)
    assert (cleared.deleted, cleared.kept) == (1, f"{KEYS[0]} is not the version that was fetched")
    assert KEYS[0] in keys(bucket)


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_a_key_without_delete_rights_leaves_the_files_without_an_error(bucket, archive, entry, object_store):
    name = bucket.uri.split("/")[2]
    place = Root(object_store).user(object_store.place(name, "edge"), allow(name, *CREATE_ONLY))
    cleared = clear_delivered(open_store(place), archive, entry)
    assert cleared.deleted == 0
    assert "the key has no right to write here" in cleared.kept
    assert len(keys(bucket)) == 3


def test_an_unreachable_bucket_keeps_its_files_without_an_error(bucket, archive, entry, flaky):
    _, away, proxy = flaky("s3")
    proxy.away = True
    cleared = clear_delivered(away, archive, entry)
    assert cleared.deleted == 0
    assert "the store does not answer" in cleared.kept
