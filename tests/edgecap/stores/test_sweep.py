"""Sweeping: what those that died left behind goes, what somebody may be at stays."""

import os
import tempfile
import time
from datetime import timedelta

import pytest

from edgecap.errors import StoreMissing
from edgecap.settings import StoreLocation
from edgecap.stores import Swept, open_store

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path):
    """Stores in the cloud stage in TMPDIR, which all tests of this user share."""
    (tmp_path / "tmpdir").mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path / "tmpdir")
    yield
    tempfile.tempdir = before


def write(path, size, hours_old):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * size)
    age(path, hours_old)


def age(path, hours):
    then = time.time() - hours * 3600
    os.utime(path, (then, then), follow_symlinks=False)


def everything(key):
    return True


def test_old_files_go_and_young_ones_stay(store):
    staging = store.staging()
    write(staging / "0af1", 10, 7)
    write(staging / "fetch-dead" / ".1.part", 100, 7)
    write(staging / "fetch-dead" / "ord02.pcap", 1000, 30)
    age(staging / "fetch-dead", 7)
    write(staging / "young", 1, 5)
    write(staging / "fetch-live" / "done.pcap", 1, 30)
    write(staging / "fetch-live" / ".2.part", 1, 0)
    age(staging / "fetch-live", 30)
    store.put("captures/kept", b"x")
    assert store.sweep(6 * HOUR, ours=everything) == Swept(3, 1110)
    assert sorted(path.name for path in staging.iterdir()) == ["fetch-live", "young"]
    assert sorted(path.name for path in (staging / "fetch-live").iterdir()) == [".2.part", "done.pcap"]
    assert [info.key for info in store.list()] == ["captures/kept"]
    assert store.sweep(6 * HOUR, ours=everything) == Swept()


def test_an_empty_folder_that_a_fetch_left_goes_too(store):
    (store.staging() / "fetch-empty").mkdir()
    age(store.staging() / "fetch-empty", 7)
    assert store.sweep(6 * HOUR, ours=everything) == Swept()
    assert list(store.staging().iterdir()) == []


def test_a_link_goes_and_what_it_points_to_stays(store, tmp_path):
    write(tmp_path / "outside" / "precious", 5, 100)
    link = store.staging() / "link"
    link.symlink_to(tmp_path / "outside")
    age(link, 7)
    assert store.sweep(6 * HOUR, ours=everything).files == 1
    assert not link.is_symlink()
    assert (tmp_path / "outside" / "precious").exists()


def test_sweeping_a_missing_folder_fails_and_does_not_make_it(tmp_path):
    with pytest.raises(StoreMissing):
        open_store(StoreLocation(uri=f"file:{tmp_path / 'none'}")).sweep(HOUR, ours=everything)
    (tmp_path / "empty").mkdir()
    assert open_store(StoreLocation(uri=f"file:{tmp_path / 'empty'}")).sweep(HOUR, ours=everything) == Swept()
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("kind", ["s3", "r2", pytest.param("ceph", marks=pytest.mark.xdist_group("ceph"))])
def test_old_incomplete_uploads_of_ours_are_aborted(kind, place_of, raw, bucket):
    place = place_of(kind)
    store, client = open_store(place), raw(place)
    for key in ("edge/captures/a", "edge/captures/b", "edge/theirs", "captures/c"):
        upload = client.create_multipart_upload(Bucket=bucket, Key=key)
        client.upload_part(Bucket=bucket, Key=key, UploadId=upload["UploadId"], PartNumber=1, Body=b"x" * 99)

    def left():
        return sorted(one["Key"] for one in client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()))

    def ours(key):
        return key.startswith("captures/")

    assert store.sweep(HOUR, ours=ours) == Swept()
    assert len(left()) == 4
    swept = store.sweep(HOUR, ours=ours, uploads_older_than=timedelta(seconds=-5))
    assert swept == Swept(uploads=2)
    assert left() == ["captures/c", "edge/theirs"]
