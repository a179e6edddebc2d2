"""What every store promises, over a folder, S3, R2 and GCS alike, on real servers."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from edgecap.errors import InvalidRequest, ObjectChanged, ObjectExists, ObjectMissing, StoreError
from edgecap.stores import open_store
from edgecap.stores.s3.upload import SINGLE_PUT


def keys(store, prefix=""):
    return [info.key for info in store.list(prefix)]


def read(store, key, **how):
    with store.open(key, **how) as reader:
        return b"".join(reader)


ODD_KEYS = [
    "a+b c.pcap",
    "dir/über/東京.pcap",
    "percent%20/%2e.pcap",
    "semi;colon&amp=?x#y",
    "quote'\"<>",
    "tilde~!*()$@",
]


def test_put_bytes_can_be_read_back(store):
    info = store.put("dir/x.pcap", b"packets")
    assert info.key == "dir/x.pcap"
    assert info.size == 7
    assert abs(info.modified - datetime.now(UTC)) < timedelta(minutes=1)
    assert read(store, "dir/x.pcap") == b"packets"
    stat = store.stat("dir/x.pcap")
    assert (stat.size, stat.etag) == (7, info.etag)
    assert stat.modified.tzinfo is UTC


def test_an_empty_object_is_an_object(store):
    store.put("empty", b"")
    assert store.stat("empty").size == 0
    assert read(store, "empty") == b""
    assert keys(store) == ["empty"]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys_come_back_as_they_were(store, key):
    store.put(key, key.encode())
    assert keys(store) == [key]
    assert store.stat(key).size == len(key.encode())
    assert read(store, key) == key.encode()
    with pytest.raises(ObjectExists):
        store.put(key, b"again")
    store.delete(key)
    assert keys(store) == []


def test_lists_in_order_of_bytes_below_a_prefix(store):
    # A folder's own order would put "a/b" before "a-b" or after "a0b", depending on how it walks.
    names = ["a-b", "a/b", "a/c/d", "a0b", "a", "b/é", "b/e", "b/Z"] if "file:" not in store.uri else None
    names = names or ["a-b", "a/b", "a/c/d", "a0b", "b/é", "b/e", "b/Z"]
    for name in names:
        store.put(name, b"1")
    assert keys(store) == sorted(names, key=str.encode)
    assert keys(store, "a/") == ["a/b", "a/c/d"]
    assert keys(store, "a/c") == ["a/c/d"]
    assert keys(store, "b/") == ["b/Z", "b/e", "b/é"]
    assert keys(store, "none") == []
    assert keys(store, "../") == []


@pytest.mark.parametrize("kind", ["folder", "s3", "gcs"])
def test_lists_page_after_page(kind, place_of):
    store = open_store(place_of(kind))
    names = [f"many/{number:04d}" for number in range(1_003)]  # a page of S3 and of GCS holds 1,000
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.put(name, b""), names))
    assert keys(store) == names


def test_a_listing_tells_size_and_version(store):
    put = store.put("x", b"12345")
    (listed,) = store.list()
    assert (listed.size, listed.etag) == (5, put.etag)


def test_two_places_in_one_bucket_do_not_see_each_other(place_of):
    place = place_of("s3", "one")
    other = place.model_copy(update={"uri": place.uri.replace("/one", "/one-more")})
    store, neighbour = open_store(place), open_store(other)
    store.put("x", b"1")
    assert keys(neighbour) == []
    neighbour.put("x", b"2")
    assert keys(store) == ["x"]
    assert read(store, "x") == b"1"


def test_reads_from_a_byte_on(store, noise):
    store.put("x", noise)
    assert read(store, "x", start=1_500_000) == noise[1_500_000:]
    assert read(store, "x", start=len(noise) - 1) == noise[-1:]
    assert read(store, "x", start=len(noise)) == b""
    assert read(store, "x", start=17, length=2_000_000) == noise[17:2_000_017]
    with store.open("x", start=5) as reader:
        assert reader.info.size == len(noise)
    assert read(store, "x") == noise


def test_leaving_a_reader_early_harms_nothing(store, noise):
    store.put("x", noise)
    for _ in range(3):
        with store.open("x") as reader:
            assert noise.startswith(next(iter(reader)))
    assert read(store, "x") == noise


def test_a_replaced_object_is_not_taken_for_the_old_one(store):
    old = store.put("x", b"old")
    assert read(store, "x", etag=old.etag) == b"old"
    store.delete("x")
    store.put("x", b"new!")
    with pytest.raises(ObjectChanged), store.open("x", etag=old.etag):
        pass
    with pytest.raises(ObjectChanged), store.open("x", start=1, etag=old.etag):
        pass


def test_a_put_never_replaces(store, tmp_path):
    store.put("x", b"first")
    source = tmp_path / "source"
    source.write_bytes(b"second")
    with pytest.raises(ObjectExists):
        store.put("x", b"second")
    with pytest.raises(ObjectExists):
        store.put("x", source, move=True)
    assert source.read_bytes() == b"second"
    assert read(store, "x") == b"first"


def test_of_eight_writers_at_once_one_wins(store):
    start = threading.Barrier(8)

    def write(number):
        start.wait()
        try:
            store.put("lane/x", f"writer {number}".encode() * 100)
        except ObjectExists:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(write, range(8)) if number is not None]
    assert len(winners) == 1
    assert read(store, "lane/x") == f"writer {winners[0]}".encode() * 100
    assert keys(store) == ["lane/x"]


def test_puts_files_and_takes_them_if_told_to(store, tmp_path, noise):
    source = tmp_path / "source"
    source.write_bytes(noise)
    assert store.put("copy", source).size == len(noise)
    assert source.exists()
    assert store.put("moved", source, move=True).size == len(noise)
    assert not source.exists()
    staged = store.staging() / f"staged-{tmp_path.name}"
    staged.write_bytes(noise)
    store.put("from staging", staged, move=True)
    assert not staged.exists()
    assert keys(store) == ["copy", "from staging", "moved"]
    for key in keys(store):
        assert read(store, key) == noise


@pytest.mark.parametrize("kind", ["s3", "gcs", pytest.param("ceph", marks=pytest.mark.xdist_group("ceph"))])
def test_large_files_are_put_create_only_too(kind, place_of, tmp_path, noise):
    """In S3 more than one part, in GCS more than one request."""
    store = open_store(place_of(kind))
    source = tmp_path / "large"
    with source.open("wb") as file:
        for _ in range(SINGLE_PUT // len(noise) + 1):
            file.write(noise)
    info = store.put("large", source)
    assert info.size == source.stat().st_size > SINGLE_PUT
    assert read(store, "large", start=info.size - 100) == noise[-100:]
    with pytest.raises(ObjectExists):
        store.put("large", source)
    assert store.stat("large").etag == info.etag


def test_a_missing_object_is_missing(store):
    store.check(write=True)
    with pytest.raises(ObjectMissing):
        store.stat("none")
    with pytest.raises(ObjectMissing), store.open("none"):
        pass
    with pytest.raises(ObjectMissing), store.open("none", start=5):
        pass
    store.delete("none")


def test_deleting_frees_the_key(store):
    store.put("a/b/c", b"1")
    store.put("a/b/d", b"1")
    store.delete("a/b/c")
    assert keys(store) == ["a/b/d"]
    store.put("a/b/c", b"2")
    assert read(store, "a/b/c") == b"2"


@pytest.mark.parametrize("key", ["", "nul\0", "x" * 1_025, "half \ud800"])
def test_keys_that_no_store_can_keep_are_refused(store, key):
    for call in (store.stat, store.delete, lambda key: store.put(key, b""), lambda key: read(store, key)):
        with pytest.raises(InvalidRequest):
            call(key)


def test_a_check_leaves_nothing_behind(store):
    store.check()
    store.check(write=True)
    assert keys(store) == []


def test_a_source_that_is_not_there_is_named(store, tmp_path):
    with pytest.raises(StoreError, match="nothing here"):
        store.put("x", tmp_path / "nothing here")
    assert keys(store) == []


def test_the_place_is_readable_in_text(store):
    assert store.uri in repr(store)
